"""The rules of `webhooks` where runs and crons are made: a forbidden receiver is reported at once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import httpx
from api_replicas import open_replica, settings_of

from lgs_runtime.graphs.webhook_section import UrlPolicy, WebhookSection

INSIDE = "http://127.0.0.1:9/told"


async def test_a_receiver_that_a_rule_forbids_is_refused_with_the_rule(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, {"database_uri": f"sqlite:///{tmp_path}/lgs.db"})
    rules = WebhookSection(UrlPolicy(disable_loopback=True))
    body = {"assistant_id": "steps", "input": {}, "webhook": INSIDE}

    async with (
        open_replica(replace(settings, webhooks=rules)) as replica,
        httpx.AsyncClient(base_url=replica.url, timeout=60) as client,
    ):
        run = await client.post("/runs", json=body)
        batch = await client.post("/runs/batch", json=[body])
        cron = await client.post("/runs/crons", json={**body, "schedule": "0 9 * * 1"})
        kept = await client.post("/runs/crons", json={**body, "schedule": "0 9 * * 1", "webhook": None})
        changed = await client.patch(f"/runs/crons/{kept.json()['cron_id']}", json={"webhook": INSIDE})

    assert [answer.status_code for answer in (run, batch, cron, changed)] == [422] * 4
    assert run.json() == {"detail": f"webhook: {INSIDE!r}: must not lead to this machine"}
