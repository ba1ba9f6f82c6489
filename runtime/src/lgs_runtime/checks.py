"""Small checks of values in a configuration file. Each returns the value in its type, or raises a
`ConfigError` of the form `name: value: rule`. `where` is the name of the value in the file."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, ParamSpec, TypeVar
from urllib.parse import SplitResult

import structlog

from lgs_runtime.errors import ConfigError, ConfigErrors

log = structlog.get_logger(__name__)
_Asked = ParamSpec("_Asked")
_Value = TypeVar("_Value")
_Usual = TypeVar("_Usual")
LONGEST_MINUTES: Final = 100 * 366 * 24 * 60.0


class Gathered:
    """Reads values one after the other and collects their errors, so that all are reported together, and
    each only once."""

    def __init__(self) -> None:
        self._wrong: list[ConfigError] = []

    def read(
        self, usual: _Usual, reader: Callable[_Asked, _Value], *given: _Asked.args, **named: _Asked.kwargs
    ) -> _Value | _Usual:
        """The result of `reader`; if that raises `ConfigError`, `usual`, and the error is kept for `done`."""
        try:
            return reader(*given, **named)
        except ConfigError as wrong:
            if str(wrong) not in map(str, self._wrong):
                self._wrong.append(wrong)
            return usual

    def entries(self, content: Any, known: Collection[str], where: str) -> Mapping[str, Any]:
        """The known entries of an object. Each unknown key is an error, and so is content that is no object,
        which then counts as an empty one."""
        given = self.read({}, object_of, content, where)
        for name in given:
            if name not in known:
                self.read(None, _unknown, name, known, where)
        return {name: value for name, value in given.items() if name in known}

    def done(self) -> None:
        """Raises `ConfigError` if anything was wrong."""
        if len(self._wrong) == 1:
            raise self._wrong[0]
        if self._wrong:
            raise ConfigErrors(self._wrong)


def kind_of(value: Any) -> str:
    """A value's type, with its article: `an int`, `a list`; `None` without one."""
    return "None" if value is None else with_article(type(value).__name__)


def with_article(noun: str) -> str:
    """A noun with its article: `an int`, `a list`."""
    return f"{'an' if noun[:1].lower() in 'aeio' else 'a'} {noun}"


def object_of(content: Any, where: str, known: Collection[str] | None = None) -> dict[str, Any]:
    """An object; None is an empty one. Keys that are not `known` are left out, with a warning that lists the
    known ones. Raises `ConfigError`."""
    if not isinstance(content, dict | None):
        raise ConfigError(f"{where}: {content!r}: must be an object")
    given = content or {}
    if known is None:
        return given
    warn_unknown(given, known, where)
    return {name: value for name, value in given.items() if name in known}


def warn_unknown(given: Collection[str], known: Collection[str], where: str) -> None:
    """Logs one warning that names the unknown keys, which nothing reads: most often typing errors."""
    if unknown := sorted(str(name) for name in given if name not in known):
        log.warning("config.unknown_keys", where=where, keys=unknown, known=sorted(known))


def boolean_of(value: Any, where: str) -> bool:
    """A boolean. Raises `ConfigError`."""
    if not isinstance(value, bool):
        raise ConfigError(f"{where}: {value!r}: must be true or false")
    return value


def whole_of(value: Any, where: str, *, at_least: int, at_most: int | None = None) -> int:
    """A whole number within bounds. Raises `ConfigError`."""
    bounds = f"at least {at_least}" if at_most is None else f"from {at_least} to {at_most}"
    valid = isinstance(value, int) and not isinstance(value, bool) and value >= at_least
    if not valid or (at_most is not None and value > at_most):
        raise ConfigError(f"{where}: {value!r}: must be a whole number, {bounds}")
    return int(value)


def text_of(value: Any, where: str) -> str:
    """A string that is not empty. Raises `ConfigError`."""
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{where}: {value!r}: must be a text that is not empty")
    return value


def texts_of(value: Any, where: str) -> tuple[str, ...]:
    """A list of strings; None is an empty one. Raises `ConfigError`."""
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise ConfigError(f"{where}: {value!r}: must be a list of strings")
    return tuple(value)


def variable_of(value: Any, where: str, example: str) -> str:
    """A reference of the form `path:variable`. Raises `ConfigError`."""
    if not isinstance(value, str) or not all(value.rpartition(":")[::2]):
        raise ConfigError(f"{where}: {value!r}: must be path:variable, such as {example}")
    return value


def regex_of(value: Any, where: str) -> str:
    """A regular expression, as text. Raises `ConfigError`."""
    try:
        re.compile(value)
    except (re.error, TypeError):
        raise ConfigError(f"{where}: {value!r}: must be a regular expression") from None
    return str(value)


def checked_positive(value: Any, where: str, at_most: float) -> float | None:
    """A number above 0 and at most `at_most`, or None. Raises `ConfigError`."""
    if value is None:
        return None
    valid = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not valid or not 0 < value <= at_most:
        raise ConfigError(f"{where}: {value!r}: must be more than 0 and at most {at_most:.0f}")
    return float(value)


def checked_path(value: Any, where: str) -> str | None:
    """A reference of the form `path:variable`, or None. Raises `ConfigError`."""
    if value is not None and not (isinstance(value, str) and ":" in value.strip(":")):
        raise ConfigError(f"{where}: {value!r}: must be path:variable, such as ./mine.py:create")
    return value


def json_of(text: str, where: str) -> Any:
    """The value of a JSON text. Raises `ConfigError`."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as broken:
        raise ConfigError(f"{where}: {text[:120].strip()}: must be JSON: {broken}") from None


def checked_object(content: Any, known: Collection[str], where: str) -> Mapping[str, Any]:
    """An object with known keys only; null is an empty one. Raises `ConfigError` that names all others."""
    found = Gathered()
    given = found.entries(content, known, where)
    found.done()
    return given


def _unknown(name: str, known: Collection[str], where: str) -> None:
    raise ConfigError(f"{where}.{name}: unknown: must be one of {', '.join(known)}")


def is_torn(uri: SplitResult) -> bool:
    """Whether a URI was split wrongly by a `/`, `#` or `?` in the password that should have been encoded: the
    `@` after the user then comes after the host."""
    return "@" in uri.path or "@" in uri.fragment or ("@" in uri.query and "=" not in uri.query)
