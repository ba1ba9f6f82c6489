"""What a newcomer sees of `lgs up` on its page within its first minute: a spike, the decisions that it led to
and why, and the versions of a session. The pictures of the documents are taken here (`make pictures`)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from dashboard.served import Served
from support.browser import DESKTOP, Browser, needed
from support.up import up_with_example

MANIFEST = """
apiVersion: lgs.dev/v1alpha1
kind: LangGraphService
metadata: {name: support}
spec:
  graphs: {agent: ./graph.py:graph}
  scaling: {minReplicas: 1, maxReplicas: 3}
  workers: {concurrency: 2, drainSeconds: 2}
"""
SPIKE = 12
"""Runs at once: six times what one replica can."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    needed()
    with up_with_example(tmp_path_factory.mktemp("first") / "service", MANIFEST) as up:
        shutil.copy(Path(__file__).with_name("refund_graph.py"), up.folder / "graph.py")
        yield Served(up, "support")


def test_a_spike_its_decisions_and_the_versions_of_a_session_are_seen(
    window: Browser, served: Served, tmp_path: Path
) -> None:
    window.window(DESKTOP)
    window.open(f"{served.page}#/local/support")
    window.wait_for("1 / 1", ".tile")
    asked = served.thread(customer="anna", order="4711")

    for number in range(SPIKE):
        served.run(served.thread(customer=f"customer {number}"), gate=str(tmp_path))
    window.wait_for("ScaledOut", ".decisions")
    window.wait_for("3 / 3", ".tile")
    for gate in ("plan", "look_up"):
        (tmp_path / gate).touch()
    window.wait(lambda: "Waiting\n0" in window.texts(".tile"))
    served.ran(asked)
    served.run(asked, "I want my money back", ask=True)
    taken(window, "page-service")

    window.open(served.at(asked))
    window.wait_for("Refund 40 EUR?", ".ask")
    window.wait_for("Version 1", ".versions")
    taken(window, "page-session")


def taken(window: Browser, name: str) -> None:
    """A picture of the page as it is, for the documents where these are asked for."""
    folder = os.environ.get("LGS_PICTURES")
    if folder:
        window.picture(Path(folder) / f"{name}.png")
