"""Logs: what is read on a terminal."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator

import pytest
import structlog

from lgs_runtime import logs


@pytest.fixture
def unconfigured() -> Iterator[None]:
    """Logging as a new process has it, and afterwards as the other tests have it."""
    before, root = structlog.get_config(), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    structlog.reset_defaults()
    yield
    structlog.configure(**before)
    root.handlers[:], root.level = handlers, level


@pytest.mark.parametrize("set_up", [logs.configure, logs.ensure_plain])
def test_a_traceback_on_a_terminal_is_the_plain_one(
    unconfigured: None, set_up: object, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert callable(set_up)
    set_up()

    try:
        raise ValueError("no luck")
    except ValueError:
        structlog.get_logger("test").exception("it.failed")

    told = "".join(capsys.readouterr())
    assert "Traceback (most recent call last):" in told
    assert "ValueError: no luck" in told
    assert not set(told) & set("╭│╰")
