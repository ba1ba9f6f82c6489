"""`auth` of `langgraph.json`: who asks, who may do what, and for how long the answer to the first is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lgs_runtime.checks import object_of, texts_of
from lgs_runtime.errors import ConfigError

TTL_SECONDS, MAX_SIZE = 60.0, 1000
KNOWN = ("path", "disable_studio_auth", "allow_langsmith_api_keys", "openapi", "cache")
CACHE = ("cache_keys", "ttl_seconds", "max_size")


@dataclass(frozen=True, slots=True)
class AuthCache:
    """How users are remembered: by the values of these headers (lower case), for so long, so many of them."""

    headers: tuple[str, ...]
    ttl_seconds: float = TTL_SECONDS
    max_size: int = MAX_SIZE


@dataclass(frozen=True, slots=True)
class AuthSpec:
    """Where the `langgraph_sdk.Auth` object is, as `path:variable`, and what is said of it."""

    path: str | None = None
    disable_studio_auth: bool = False
    openapi: Mapping[str, Any] = field(default_factory=dict)
    cache: AuthCache | None = None


def parse_auth(content: Any, where: str) -> AuthSpec:
    """The section. All of it counts: what is misspelt must not leave a service open. Raises
    `ConfigError`."""
    given = object_of(content, where)
    _only(given, KNOWN, where)
    path, studio = given.get("path"), given.get("disable_studio_auth", False)
    if path is not None and (not isinstance(path, str) or ":" not in path):
        raise ConfigError(f"{where}.path: {path!r}: must be path:variable, such as ./auth.py:auth")
    if not isinstance(studio, bool):
        raise ConfigError(f"{where}.disable_studio_auth: {studio!r}: must be true or false")
    if given.get("allow_langsmith_api_keys", False) is not False:
        raise ConfigError(
            f"{where}.allow_langsmith_api_keys: {given['allow_langsmith_api_keys']!r}: must be false: this "
            "server can't ask LangSmith whose a key is; LGS_API_KEYS has keys of the service's own"
        )
    openapi = object_of(given.get("openapi"), f"{where}.openapi")
    return AuthSpec(path, studio, openapi, _cache(given.get("cache"), f"{where}.cache"))


def _cache(content: Any, where: str) -> AuthCache | None:
    if content is None:
        return None
    given = object_of(content, where)
    _only(given, CACHE, where)
    headers = given.get("cache_keys")
    if not isinstance(headers, list) or not headers:
        raise ConfigError(
            f"{where}.cache_keys: {headers!r}: must be a list of headers that identify the caller"
        )
    names = tuple(name.lower() for name in texts_of(headers, f"{where}.cache_keys"))
    ttl, size = given.get("ttl_seconds", TTL_SECONDS), given.get("max_size", MAX_SIZE)
    if isinstance(ttl, bool) or not isinstance(ttl, int | float) or not 0 < ttl < float("inf"):
        raise ConfigError(f"{where}.ttl_seconds: {ttl!r}: must be a number of seconds above 0")
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise ConfigError(f"{where}.max_size: {size!r}: must be a whole number of at least 1")
    return AuthCache(names, float(ttl), size)


def _only(given: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for name in given:
        if name not in known:
            raise ConfigError(f"{where}.{name}: unknown: must be one of {', '.join(known)}")
