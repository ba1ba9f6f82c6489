"""What `lgs dashboard` asks of kubectl and of the operator, and when it ends."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import yaml

from lgs_operator.commands import dashboard
from support.as_before import signals_as_before
from support.ports import PATIENCE_SECONDS

CONTEXTS = ("staging", "production")


def kubeconfig(current: str) -> str:
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": current,
            "clusters": [{"name": each, "cluster": {"server": "http://127.0.0.1:1"}} for each in CONTEXTS],
            "users": [{"name": "anna", "user": {}}],
            "contexts": [{"name": each, "context": {"cluster": each, "user": "anna"}} for each in CONTEXTS],
        }
    )


def test_the_ways_lead_to_the_cluster_whose_services_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "config"
    file.write_text(kubeconfig("production"))
    monkeypatch.setenv("KUBECONFIG", str(file))

    command = dashboard._kubectl()
    file.write_text(kubeconfig("staging"))

    assert command == ("kubectl", "--context", "production")


class Cluster:
    """Has pods of an operator."""

    async def list(self, *_: Any, **__: Any) -> tuple[list[dict[str, Any]], str]:
        return [
            {"metadata": {"name": "pending"}, "status": {"phase": "Pending"}},
            {"metadata": {"name": "new"}},
            {"metadata": {"name": "gone", "deletionTimestamp": "now"}, "status": {"phase": "Running"}},
            {"metadata": {"name": "acts"}, "status": {"phase": "Running"}},
        ], ""


async def test_only_an_operator_that_runs_is_asked() -> None:
    assert await dashboard._operators(Cluster(), "lgs-system") == [("lgs-system", "acts")]  # type: ignore[arg-type]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_it_ends_in_order_also_with_its_terminal(number: signal.Signals) -> None:
    async with signals_as_before():
        ending = asyncio.create_task(dashboard._interrupted())
        await asyncio.sleep(0)
        assert signal.getsignal(number) not in (signal.SIG_DFL, signal.default_int_handler)

        os.kill(os.getpid(), number)
        await asyncio.wait_for(ending, PATIENCE_SECONDS)
