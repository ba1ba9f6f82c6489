"""The operator's log."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import structlog

from lgs_operator.main import log_as_json


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    yield
    structlog.reset_defaults()


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
