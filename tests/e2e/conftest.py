"""The story that `make e2e` plays, in order: one module a chapter. Each chapter goes on from where the last
one ended, so the first failure ends the story. Its numbers are printed at the end, and written to
LGS_E2E_REPORT if that is set.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from e2e.harness.kubectl import Kubectl, run
from e2e.harness.player import Stage
from e2e.harness.report import Report
from e2e.story import Story

ROOT = Path(__file__).parents[2]
REPORT = Report()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        item.add_marker(pytest.mark.cluster)
        # A chapter waits for nodes and databases; each of its waits has a deadline of its own.
        item.add_marker(pytest.mark.timeout(900))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    table = REPORT.table()
    if table:
        terminalreporter.section("the numbers of the story")
        terminalreporter.write_line(table)
    path = os.environ.get("LGS_E2E_REPORT")
    if path and REPORT.numbers:
        REPORT.write(Path(path))


@pytest.fixture(autouse=True)
def _chapter(request: pytest.FixtureRequest) -> None:
    REPORT.chapter = (request.module.__doc__ or request.module.__name__).splitlines()[0].rstrip(".")


@pytest.fixture(scope="session")
def report() -> Report:
    """Where the story's numbers go."""
    return REPORT


@pytest.fixture(scope="session")
def story() -> Iterator[Story]:
    """The stage: namespaces, images, the node that stays and the one that will be lost."""
    if "KUBECONFIG" not in os.environ:
        pytest.fail("KUBECONFIG is not set; `make e2e` brings a cluster up and sets it")
    prefix, tag = os.environ.get("LGS_IMAGE_PREFIX", "localhost/"), os.environ.get("LGS_IMAGE_TAG", "test")
    workers = run(
        *("kubectl", "get", "nodes", "-o", "name", "-l", "!node-role.kubernetes.io/control-plane")
    ).split()
    keep, *others = sorted(name.removeprefix("node/") for name in workers)
    manifest = yaml.safe_load((ROOT / "examples" / "support" / "service.yaml").read_text("utf-8"))
    kubectl = Kubectl("story", neighbour="lgs-system")
    yield Story(
        kubectl=kubectl,
        system=Kubectl("lgs-system"),
        image=lambda name: f"{prefix}{name}:{tag}",
        stage=Stage(kubectl, f"{prefix}lgs-runtime:{tag}", keep),
        keep=keep,
        lose=others[0] if others else None,
        manifest=manifest,
        root=ROOT,
    )
