"""What the operator's containers run and ask of the runtime are commands and paths that it has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.routing import Route
from typer.main import get_command

from lgs_operator.desired.everything import everything
from lgs_runtime.api.app import ROUTES
from lgs_runtime.cli import app
from support.desired import inputs_of

BUCKET = {"bucket": "backups", "region": "eu", "credentialsSecret": {"name": "keys"}}
SERVICES = {
    "embedded": inputs_of(),
    "a volume": inputs_of(backup={"schedule": "@daily", "volume": {}}),
    "a bucket": inputs_of(backup={"schedule": "@daily", "s3": BUCKET}),
    "restored": inputs_of(restores=True, restoreFrom={"service": "old", "s3": BUCKET}),
}


def containers(node: Any) -> Iterator[dict[str, Any]]:
    """Those of the runtime in an object, however deep they stand."""
    if isinstance(node, list):
        for each in node:
            yield from containers(each)
    elif isinstance(node, dict):
        if node.get("command", [""])[0] == "lgs-runtime":
            yield node
        for each in node.values():
            yield from containers(each)


def parsed(command: Any, arguments: list[str]) -> None:
    """Reads a command line without doing it. Raises for one that the command does not know."""
    with command.make_context(command.name, list(arguments)) as context:
        if hasattr(command, "resolve_command"):
            _, inner, rest = command.resolve_command(context, list(arguments))
            parsed(inner, rest)


@pytest.mark.parametrize("service", SERVICES)
def test_the_runtime_has_the_command_that_each_container_runs(service: str) -> None:
    commands = [each["command"][1:] for each in containers(everything(SERVICES[service]))]

    for command in commands:
        parsed(get_command(app), command)

    assert ["serve"] in commands
    assert len(commands) == (1 if service == "embedded" else 2)


def test_the_runtime_serves_the_path_of_each_probe_in_every_service() -> None:
    probes = next(router for group, router in ROUTES if group is None)
    served = {route.path for route in probes.routes if isinstance(route, Route)}
    [container] = containers(everything(inputs_of()))

    asked = {probe["httpGet"]["path"] for name, probe in container.items() if name.endswith("Probe")}
    ports = {probe["httpGet"]["port"] for name, probe in container.items() if name.endswith("Probe")}

    assert asked | {"/metrics"} <= served
    assert {port["name"] for port in container["ports"]} == ports
