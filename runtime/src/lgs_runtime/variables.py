"""Environment variables, each read with its rule. A value that breaks it is a `ConfigError` of the form
`name: value: rule`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from lgs_runtime.checks import Gathered
from lgs_runtime.errors import ConfigError

_Asked = ParamSpec("_Asked")
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Variables:
    """Variables by name; an empty one counts as not set."""

    env: Mapping[str, str]
    gathered: Gathered | None = None
    """Collects the errors of numbers and flags; without it, they are raised at once."""

    def text(self, name: str, default: str) -> str:
        """A variable's text, without surrounding whitespace."""
        return self.env.get(name, "").strip() or default

    def set_of(self, *names: str) -> str:
        """The first of the names whose variable is set; the first name if none is."""
        return next((name for name in names if self.text(name, "")), names[0])

    def number(
        self,
        name: str,
        default: float,
        *,
        at_least: float | None = None,
        above: float | None = None,
        alias: str | None = None,
    ) -> float:
        """A finite number; read from the variable `alias` if `name` is not set."""
        name = self.set_of(name, alias) if alias else name
        text = self.text(name, "")
        return self._read(default, _number, name, text, at_least, above) if text else default

    def integer(
        self, name: str, default: int, *, at_least: int, at_most: int | None = None, alias: str | None = None
    ) -> int:
        """A whole number; read from the variable `alias` if `name` is not set."""
        name = self.set_of(name, alias) if alias else name
        text = self.text(name, "")
        return self._read(default, _integer, name, text, at_least, at_most) if text else default

    def flag(self, name: str, default: bool) -> bool:
        """A boolean: `true` or `1`, `false` or `0`."""
        text = self.text(name, "").lower()
        return self._read(default, _flag, name, text) if text else default

    def _read(
        self, default: _Value, reader: Callable[_Asked, _Value], *given: _Asked.args, **named: _Asked.kwargs
    ) -> _Value:
        if self.gathered is None:
            return reader(*given, **named)
        return self.gathered.read(default, reader, *given, **named)


def _number(name: str, text: str, at_least: float | None, above: float | None) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ConfigError(f"{name}: {text}: must be a number") from None
    if not math.isfinite(value):
        raise ConfigError(f"{name}: {text}: must be a finite number")
    if at_least is not None and value < at_least:
        raise ConfigError(f"{name}: {text}: must be at least {at_least:g}")
    if above is not None and value <= above:
        raise ConfigError(f"{name}: {text}: must be greater than {above:g}")
    return value


def _integer(name: str, text: str, at_least: int, at_most: int | None) -> int:
    try:
        value = int(text)
    except ValueError:
        raise ConfigError(f"{name}: {text}: must be a whole number") from None
    if value < at_least:
        raise ConfigError(f"{name}: {text}: must be at least {at_least}")
    if at_most is not None and value > at_most:
        raise ConfigError(f"{name}: {text}: must be at most {at_most}")
    return value


def _flag(name: str, text: str) -> bool:
    if text not in ("1", "true", "0", "false"):
        raise ConfigError(f"{name}: {text}: must be true or false")
    return text in ("1", "true")
