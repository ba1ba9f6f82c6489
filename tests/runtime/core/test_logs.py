"""Logs: what is read on a terminal."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import structlog

from lgs_runtime import logs
from support.as_before import logged_as_before


@pytest.fixture
def unconfigured() -> Iterator[None]:
    """Logging as a new process has it, and afterwards as the other tests have it."""
    root, made_of = logging.getLogger(), logging.getLoggerClass()
    levels = {each: each.level for each in (root, *map(logging.getLogger, logs.CHATTY))}
    lists = [(each, each[:]) for each in (root.handlers, logging.getLogger(logs.ASGI_SERVER).filters)]
    with logged_as_before():
        structlog.reset_defaults()
        yield
    logging.setLoggerClass(made_of)
    for logger, level in levels.items():
        logger.setLevel(level)
    for each, was in lists:
        each[:] = was


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


@dataclass
class Place:
    """A value that JSON has no form for."""

    name: str


def test_a_line_of_json_has_what_was_logged_whatever_it_is(
    unconfigured: None, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure(as_json=True)

    structlog.get_logger("test").info("it.ended", seconds=0.5, place=Place("here"), half="\ud800", big=2**70)
    logging.getLogger("a.library").warning("%s of %d", "one", 2)
    try:
        raise ValueError("no luck")
    except ValueError:
        structlog.get_logger("test").exception("it.failed")

    ended, library, failed = map(json.loads, capsys.readouterr().err.splitlines())
    assert ended.pop("timestamp")
    assert ended == {
        "event": "it.ended",
        "level": "info",
        "seconds": 0.5,
        "place": "Place(name='here')",
        "half": "\ud800",
        "big": 2**70,
    }
    assert (library["event"], library["level"]) == ("one of 2", "warning")
    assert failed["exception"].endswith("ValueError: no luck")


def test_another_handler_gets_the_same_line(unconfigured: None, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(as_json=True)
    taken: list[logging.LogRecord] = []
    other = logging.Handler()
    other.emit = taken.append  # type: ignore[method-assign]
    logging.getLogger().addHandler(other)

    structlog.get_logger("test").info("it.ended", seconds=0.5)

    assert "it.ended" in capsys.readouterr().err
    [record] = taken
    assert isinstance(record.msg, dict)
    assert (record.msg["event"], record.msg["seconds"]) == ("it.ended", 0.5)
