"""The operator's log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import cast
from unittest.mock import Mock

import pytest
import structlog

from lgs_operator.context import Context
from lgs_operator.kube.errors import KubeError
from lgs_operator.kube.kinds import ServiceKey
from lgs_operator.process_setup import log_as_json
from lgs_operator.status.reporter import StatusReporter
from lgs_operator.status.states import ServiceStates
from support.as_before import logged_as_before


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    with logged_as_before():
        yield


def test_a_record_of_an_exception_has_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    """`InternalError` sends its readers there."""
    log_as_json()
    log = structlog.get_logger("of the tests")

    try:
        raise ZeroDivisionError("of the tests")
    except ZeroDivisionError:
        log.exception("reconcile.crashed", service="team/support")

    record = json.loads(capsys.readouterr().out)
    assert (record["event"], record["service"]) == ("reconcile.crashed", "team/support")
    assert "Traceback (most recent call last)" in record["exception"]
    assert "test_log.py" in record["exception"]
    assert "ZeroDivisionError: of the tests" in record["exception"]


@pytest.mark.parametrize(
    ("error", "is_traced"),
    [(KubeError(403, "Forbidden", "cannot patch langgraphservices/status"), False), (KeyError("uid"), True)],
)
async def test_a_status_that_the_api_server_refuses_is_a_line_and_no_traceback(
    capsys: pytest.CaptureFixture[str], error: Exception, is_traced: bool
) -> None:
    """As it does for a service in a namespace that is deleted, with the operator's rights in it."""
    log_as_json()
    key = ServiceKey("team", "support")

    class Refusing:
        async def patch_status(self, *_: object) -> None:
            raise error

    context = SimpleNamespace(
        cluster=Refusing(),
        state=SimpleNamespace(services={key: {"metadata": {"uid": "u1", "generation": 1}}}),
        recorder=None,
        metrics=Mock(),
    )

    await StatusReporter(cast(Context, context), ServiceStates()).report_crash(key, ValueError("first"))

    record = json.loads(capsys.readouterr().out)
    assert (record["event"], record["service"]) == ("report.failed", "team/support")
    assert ("Traceback" in record.get("exception", "")) is is_traced
    assert str(error) in record["exception" if is_traced else "error"]
