"""`auth` of `langgraph.json`: the code that says who a caller is and who may do what, and how long the first
answer is cached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lgs_runtime.checks import Gathered, boolean_of, object_of, texts_of
from lgs_runtime.errors import ConfigError

TTL_SECONDS, MAX_SIZE = 60.0, 1000
KNOWN = ("path", "disable_studio_auth", "allow_langsmith_api_keys", "openapi", "cache")
CACHE = ("cache_keys", "ttl_seconds", "max_size")


@dataclass(frozen=True, slots=True)
class AuthCache:
    """How users are cached: by the values of these headers (lower case), for `ttl_seconds`, at most
    `max_size` of them."""

    headers: tuple[str, ...]
    ttl_seconds: float = TTL_SECONDS
    max_size: int = MAX_SIZE


@dataclass(frozen=True, slots=True)
class AuthSpec:
    """Where the `langgraph_sdk.Auth` object is, as `path:variable`, and the options beside it."""

    path: str | None = None
    disable_studio_auth: bool = False
    openapi: Mapping[str, Any] = field(default_factory=dict)
    cache: AuthCache | None = None


def parse_auth(content: Any, where: str) -> AuthSpec:
    """Parses the section. Unknown keys are errors: a misspelt one must not leave a service open. Raises
    `ConfigError`."""
    found = Gathered()
    given = found.entries(content, KNOWN, where)
    allowed = given.get("allow_langsmith_api_keys", False)
    found.read(None, _not_allowed, allowed, f"{where}.allow_langsmith_api_keys")
    section = AuthSpec(
        path=found.read(None, _path, given.get("path"), f"{where}.path"),
        disable_studio_auth=found.read(
            False, boolean_of, given.get("disable_studio_auth", False), f"{where}.disable_studio_auth"
        ),
        openapi=found.read({}, object_of, given.get("openapi"), f"{where}.openapi"),
        cache=found.read(None, _cache, given.get("cache"), f"{where}.cache"),
    )
    found.done()
    return section


def _path(value: Any, where: str) -> str | None:
    if value is not None and (not isinstance(value, str) or ":" not in value):
        raise ConfigError(f"{where}: {value!r}: must be path:variable, such as ./auth.py:auth")
    return value


def _not_allowed(value: Any, where: str) -> None:
    if value is not False:
        raise ConfigError(
            f"{where}: {value!r}: must be false: this server can't ask LangSmith whose a key is; "
            "LGS_API_KEYS has keys of the service's own"
        )


def _cache(content: Any, where: str) -> AuthCache | None:
    if content is None:
        return None
    found = Gathered()
    given = found.entries(content, CACHE, where)
    cache = AuthCache(
        found.read((), _headers, given.get("cache_keys"), f"{where}.cache_keys"),
        found.read(TTL_SECONDS, _seconds, given.get("ttl_seconds", TTL_SECONDS), f"{where}.ttl_seconds"),
        found.read(MAX_SIZE, _size, given.get("max_size", MAX_SIZE), f"{where}.max_size"),
    )
    found.done()
    return cache


def _headers(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise ConfigError(f"{where}: {value!r}: must be a list of headers that identify the caller")
    return tuple(name.lower() for name in texts_of(value, where))


def _seconds(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise ConfigError(f"{where}: {value!r}: must be a number of seconds above 0")
    return float(value)


def _size(value: Any, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError(f"{where}: {value!r}: must be a whole number of at least 1")
    return value
