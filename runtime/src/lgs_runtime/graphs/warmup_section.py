"""`LGS_CACHE_WARMUP`: the runs that are made before a replica takes work, as JSON in the form of a manifest's
`spec.cache.warmup`. A broken rule is a `ConfigError` with the message `name: value: rule`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from lgs_runtime.checks import Gathered, checked_object, checked_positive, json_of, text_of
from lgs_runtime.errors import ConfigError

VARIABLE: Final = "LGS_CACHE_WARMUP"
TIMEOUT_SECONDS: Final = 30.0
MOST_SECONDS: Final = 300.0
FIELDS: Final = ("timeoutSeconds", "inputs", "file")
OF_AN_INPUT: Final = ("assistant", "input", "context")


@dataclass(frozen=True, slots=True)
class WarmupInput:
    """A run that fills the cache."""

    where: str
    """The path of the input in its file, for messages."""
    input: Any
    assistant: str | None = None
    """A graph, or the id of an assistant; None: the only graph that there is."""
    context: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Warmup:
    """What is run before a replica takes work, and for how long at most."""

    inputs: tuple[WarmupInput, ...] = ()
    file: str | None = None
    """A file with more inputs, in the folder of the graphs' code."""
    timeout_seconds: float = TIMEOUT_SECONDS


def parse_warmup(text: str) -> Warmup | None:
    """What the variable says; None without it. Raises `ConfigError`."""
    if not text:
        return None
    found = Gathered()
    section = found.entries(json_of(text, VARIABLE), FIELDS, VARIABLE)
    inputs, file = section.get("inputs", []), section.get("file")
    limit = section.get("timeoutSeconds")
    seconds = found.read(None, checked_positive, limit, f"{VARIABLE}.timeoutSeconds", MOST_SECONDS)
    warmup = Warmup(
        found.read((), _inputs, inputs, f"{VARIABLE}.inputs"),
        None if file is None else found.read(None, text_of, file, f"{VARIABLE}.file"),
        TIMEOUT_SECONDS if seconds is None else seconds,
    )
    found.done()
    return warmup


def _inputs(value: Any, where: str) -> tuple[WarmupInput, ...]:
    if not isinstance(value, list):
        raise ConfigError(f"{where}: {value!r}: must be a list")
    found, none = Gathered(), WarmupInput(where, None)
    inputs = tuple(found.read(none, _input, each, f"{where}[{at}]") for at, each in enumerate(value))
    found.done()
    return inputs


def parse_lines(lines: Iterable[str], file: str) -> Iterator[WarmupInput | ConfigError]:
    """The inputs in a file, one a line; in place of an invalid line, its error. Empty lines are skipped."""
    for number, line in enumerate(lines, 1):
        if line.strip():
            where = f"{file}:{number}"
            try:
                yield _input(json_of(line, where), where)
            except ConfigError as wrong:
                yield wrong


def _input(content: Any, where: str) -> WarmupInput:
    given = checked_object(content, OF_AN_INPUT, where)
    if given.get("input") is None:
        raise ConfigError(f"{where}.input: none: is required")
    context = given.get("context")
    if not isinstance(context, dict | None):
        raise ConfigError(f"{where}.context: {context!r}: must be an object")
    assistant = given.get("assistant")
    return WarmupInput(
        where,
        given["input"],
        None if assistant is None else text_of(assistant, f"{where}.assistant"),
        context or {},
    )
