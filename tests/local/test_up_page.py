"""`lgs up` prints a link to its page, and keeps its history."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from support import prometheus
from support.documents import shown
from support.ports import PATIENCE_SECONDS
from support.up import Up, up_with_example
from support.waiting import until

MANIFEST = """
apiVersion: lgs.dev/v1alpha1
kind: LangGraphService
metadata: {name: tried}
spec:
  graphs: {agent: ./graph.py:graph}
  scaling: {minReplicas: 1, maxReplicas: 2}
  workers: {concurrency: 2, drainSeconds: 2}
"""
LINK = r"its page: (http://127\.0\.0\.1:(\d+)/)#/local/tried\n"


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    with up_with_example(tmp_path / "service", MANIFEST) as it:
        yield it


def page_of(up: Up) -> str:
    found = re.search(LINK, up.log.read_text("utf-8"))
    assert found is not None
    return found[1]


def test_a_newcomer_finds_a_spike_and_the_decisions_behind_the_link(up: Up) -> None:
    up.serve()
    up.wait(lambda: up.said(LINK))
    page = page_of(up)

    def history() -> Any:
        return httpx.get(f"{page}api/services/local/tried/history", timeout=PATIENCE_SECONDS).json()

    # They last until the replica that they ask for has been seen.
    spike = [up.session(steps=1000, step_seconds=0.5) for _ in range(8)]

    up.wait(lambda: "ScaledOut" in [each["code"] for each in history()["decisions"]])
    up.wait(lambda: max(each or 0 for each in history()["values"]["ready"]) == 2)
    up.session(steps=4, step_seconds=0.5)
    for thread, run in spike:
        up.client.post(f"/threads/{thread}/runs/{run}/cancel")
    up.wait(lambda: max(each or 0 for each in history()["values"]["finished"]) > 0)
    (one,) = httpx.get(f"{page}api/services", timeout=PATIENCE_SECONDS).json()["services"]
    assert one["facts"]["maxReplicas"] == 2
    assert "text/html" in httpx.get(page, timeout=PATIENCE_SECONDS).headers["content-type"]


def test_a_port_that_another_program_has_is_no_reason_not_to_serve(up: Up) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        up.more = ["--page-port", str(other.getsockname()[1])]

        up.serve()
        up.wait(lambda: up.said(LINK))

        assert page_of(up) != f"http://127.0.0.1:{other.getsockname()[1]}/"
        assert httpx.get(page_of(up), timeout=PATIENCE_SECONDS).status_code == 200


@prometheus.needed
async def test_a_prometheus_reads_every_replica_by_what_the_page_tells_it(up: Up, tmp_path: Path) -> None:
    """At the port that they share one of them answers, now this one and now that one."""
    both = MANIFEST.replace("{minReplicas: 1, maxReplicas: 2}", "{mode: Manual}") + "  replicas: 2\n"
    up.manifest.write_text(both)
    up.serve()
    up.wait(lambda: up.said(LINK))
    (job,) = shown("monitoring.md", "scrape_configs")["scrape_configs"]
    (found,) = job["http_sd_configs"]
    assert found["url"] == "http://127.0.0.1:8124/metrics/targets"
    page = page_of(up)
    job["http_sd_configs"] = [{"url": f"{page}metrics/targets", "refresh_interval": "1s"}]

    def targets() -> list[str]:
        told: list[dict[str, Any]] = httpx.get(f"{page}metrics/targets", timeout=PATIENCE_SECONDS).json()
        return [each for one in told for each in one["targets"]]

    up.wait(lambda: len(targets()) == 2)
    with prometheus.running(tmp_path, [job]) as reads:

        async def read() -> bool:
            series = await reads.ask("lgs_slots")
            return len({each["metric"]["instance"] for each in series}) == 2

        await until(read, "it does not read both")
        (slots,) = await reads.ask('sum(lgs_slots{service="tried"})')
    assert float(slots["value"][1]) == 4
