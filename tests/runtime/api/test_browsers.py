"""Browsers: pages of any origin may call the API and read what it says in headers, unless the service says
which may."""

from __future__ import annotations

from dataclasses import replace

import httpx
from api_replicas import open_replica

from lgs_runtime.graphs.http_section import Cors, HttpSection
from lgs_runtime.settings import Settings

STUDIO = {"Origin": "https://studio.example"}
ASKS = {**STUDIO, "Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "X-Api-Key"}


async def test_a_page_of_any_origin_may_call_and_read_where_a_run_is(url: str) -> None:
    async with httpx.AsyncClient(base_url=url, headers=STUDIO) as http:
        asked = await http.options("/threads/x", headers=ASKS)
        run = await http.post("/runs/wait", json={"assistant_id": "steps", "input": {}})
        refused = await http.post("/runs", json={"assistant_id": "nobody"})

    exposed = {name.strip().lower() for name in run.headers["access-control-expose-headers"].split(",")}
    assert asked.status_code == 200
    assert "PATCH" in asked.headers["access-control-allow-methods"]
    assert asked.headers["access-control-allow-headers"] == "X-Api-Key"
    assert exposed == {"content-location", "location", "x-pagination-total", "x-pagination-next"}
    assert "access-control-allow-origin" in refused.headers
    assert "access-control-allow-credentials" not in run.headers


async def test_only_the_origins_that_the_service_names_may_call(alone: Settings) -> None:
    mine = Cors(allow_origins=("https://mine.example",), allow_credentials=False)
    async with (
        open_replica(replace(alone, http=HttpSection(cors=mine))) as replica,
        httpx.AsyncClient(base_url=replica.url) as http,
    ):
        known = await http.get("/ok", headers={"Origin": "https://mine.example"})
        other = await http.get("/ok", headers=STUDIO)
        asked = await http.options("/threads", headers=ASKS)

    assert known.headers["access-control-allow-origin"] == "https://mine.example"
    assert "access-control-allow-origin" not in other.headers
    assert asked.status_code == 400
