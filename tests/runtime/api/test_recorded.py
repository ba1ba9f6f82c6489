"""Streams and records, field by field, as LangGraph's own server answered them for the same graphs."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from api_recorded import GRAPHS, cases, records, streamed

RECORDED: dict[str, Any] = json.loads(Path(__file__).with_name("recorded.json").read_text())


@pytest.mark.parametrize(("name", "graph", "mode", "subgraphs"), list(cases()))
async def test_a_stream_is_that_of_langgraphs_server(
    url: str, name: str, graph: str, mode: Any, subgraphs: bool
) -> None:
    def hear() -> list[Any]:
        with httpx.Client(base_url=url, timeout=60) as http:
            return streamed(http, graph, mode, subgraphs)

    heard = await asyncio.to_thread(hear)

    assert [event for event, _ in heard] == [event for event, _ in RECORDED[name]]
    for told, expected in zip(heard, RECORDED[name], strict=True):
        assert told == expected


@pytest.mark.parametrize("graph", list(GRAPHS))
async def test_a_run_and_its_thread_are_told_as_langgraphs_server_does(url: str, graph: str) -> None:
    def ask() -> dict[str, Any]:
        with httpx.Client(base_url=url, timeout=60) as http:
            return records(http, graph)

    told = await asyncio.to_thread(ask)

    for name, expected in RECORDED[f"records of {graph}"].items():
        assert told[name] == expected, name
