"""The section `http` of `langgraph.json`: the service's own application, which groups of routes exist and
under which path, and which headers of a request a run and the log may see.

The names are those of LangGraph's configuration. Wrong values are a `ConfigError`, unknown keys a warning.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal, TypeVar, get_args

import structlog

from lgs_runtime.checks import (
    Gathered,
    boolean_of,
    object_of,
    regex_of,
    text_of,
    texts_of,
    variable_of,
)
from lgs_runtime.errors import ConfigError

Group = Literal["assistants", "threads", "runs", "store", "mcp", "a2a", "meta", "ui", "webhooks"]
GROUPS: Final[tuple[Group, ...]] = get_args(Group)
PAGINATION: Final = ("X-Pagination-Total", "X-Pagination-Next")
SECRET_HEADERS: Final = frozenset({"authorization", "x-api-key", "x-service-key", "x-tenant-id"})
"""Headers that are never given to a run and never logged, whatever the file says."""
PRIVATE_HEADERS: Final = frozenset({"cookie", "proxy-authorization"})
"""Headers that are given and logged only if the file names them in full."""
ORDERS: Final = ("middleware_first", "auth_first")
NO_PREFIX: Final = "/noauth"
log = structlog.get_logger(__name__)
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Cors:
    """`http.cors`: which pages of other origins may call the API. By default all may, without the API's
    cookies."""

    allow_origins: tuple[str, ...] = ("*",)
    allow_methods: tuple[str, ...] = ("*",)
    allow_headers: tuple[str, ...] = ("*",)
    allow_credentials: bool = False
    allow_origin_regex: str | None = None
    expose_headers: tuple[str, ...] = ("Content-Location", "Location", *PAGINATION)
    max_age: int = 600
    """Seconds for which a browser may remember the answer."""


@dataclass(frozen=True, slots=True)
class HeaderRule:
    """Which headers of a request are taken. Names are case-insensitive; `*` stands for any characters."""

    includes: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()

    def takes(self, name: str) -> bool:
        """Whether a header is taken: it is included, not excluded, and not secret."""
        lower = name.lower()
        if lower in SECRET_HEADERS or any(_matches(pattern, lower) for pattern in self.excludes):
            return False
        if lower in PRIVATE_HEADERS:
            return lower in {pattern.lower() for pattern in self.includes}
        return any(_matches(pattern, lower) for pattern in self.includes)

    def taken(self, headers: Mapping[str, str]) -> dict[str, str]:
        """The headers that are taken, with their names in lower case."""
        if not self.includes:
            return {}
        return {name.lower(): value for name, value in headers.items() if self.takes(name)}


@dataclass(frozen=True, slots=True)
class HttpSection:
    """The parsed section `http`, with defaults."""

    app: str | None = None
    """`path:variable` of a Starlette or FastAPI application whose routes and middleware join ours."""
    disabled: frozenset[Group] = frozenset()
    mount_prefix: str = ""
    """Path prefix of all routes, such as `/api`; empty: none."""
    cors: Cors = field(default_factory=Cors)
    configurable_headers: HeaderRule = field(default_factory=HeaderRule)
    """Headers that a run finds in `config.configurable`."""
    logging_headers: HeaderRule | None = None
    """Headers that are logged with each request; None: requests are not logged."""
    auth_on_custom_routes: bool = False
    auth_first: bool = False
    """Whether authentication comes before the application's own middleware."""


def parse_http(content: Any, where: str) -> HttpSection:
    """Parses the object `http`. Raises `ConfigError`."""
    known = (
        "app",
        "cors",
        "mount_prefix",
        "configurable_headers",
        "logging_headers",
        "enable_custom_route_auth",
        "middleware_order",
        *(f"disable_{group}" for group in GROUPS),
    )
    given = {name: value for name, value in object_of(content, where, known).items() if value is not None}
    logging = given.get("logging_headers")
    found = Gathered()

    def read(name: str, usual: _Value, reader: Callable[[Any, str], _Value], missing: Any = None) -> _Value:
        return found.read(usual, reader, given.get(name, missing), f"{where}.{name}")

    section = HttpSection(
        app=read("app", None, _app),
        disabled=frozenset(group for group in GROUPS if read(f"disable_{group}", False, boolean_of, False)),
        mount_prefix=read("mount_prefix", "", prefix_of, ""),
        cors=read("cors", Cors(), parse_cors),
        configurable_headers=read("configurable_headers", HeaderRule(), _rule),
        logging_headers=None if logging is None else read("logging_headers", None, _rule),
        auth_on_custom_routes=read("enable_custom_route_auth", False, boolean_of, False),
        auth_first=read("middleware_order", ORDERS[0], _order, ORDERS[0]) == ORDERS[1],
    )
    found.done()
    return section


def _app(value: Any, where: str) -> str | None:
    return None if value is None else variable_of(value, where, "./webapp.py:app")


def parse_cors(content: Any, where: str) -> Cors:
    """Parses the object `http.cors`. What it does not name keeps its default; but once it says anything about
    origins, only those that it names may call. Raises `ConfigError`."""
    known, found = [spec.name for spec in fields(Cors)], Gathered()
    given = found.entries(content, known, where)
    names_origins = bool(given.keys() & {"allow_origins", "allow_origin_regex"})
    strict: dict[str, Any] = {"allow_origins": ()} if names_origins else {}
    values = {name: found.read(None, _cors_value, value, name, where) for name, value in given.items()}
    found.done()
    return Cors(**{**strict, **values})


def _cors_value(value: Any, name: str, where: str) -> Any:
    named = f"{where}.{name}"
    if name == "allow_credentials":
        return boolean_of(value, named)
    if name == "allow_origin_regex":
        return regex_of(value, named)
    if name == "max_age":
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise ConfigError(f"{named}: {value!r}: must be whole seconds")
        return value
    if value is None:
        raise ConfigError(f"{named}: {value!r}: must be a list of strings")
    return texts_of(value, named)


def prefix_of(value: Any, where: str) -> str:
    """The path prefix of all routes; empty: none. Raises `ConfigError`."""
    if value == "":
        return ""
    prefix = text_of(value, where).removesuffix("/")
    if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", prefix) or prefix.split("/")[1] == NO_PREFIX[1:]:
        raise ConfigError(
            f"{where}: {value!r}: must be a path of letters, digits and . _ ~ -, such as /api or /team/v1, "
            f"and not {NO_PREFIX}"
        )
    return prefix


def _order(value: Any, where: str) -> str:
    if value not in ORDERS:
        raise ConfigError(f"{where}: {value!r}: must be {' or '.join(ORDERS)}")
    return str(value)


def _rule(content: Any, where: str) -> HeaderRule:
    given = object_of(content, where, ("includes", "excludes", "include", "exclude"))
    lists = {name: texts_of(value, f"{where}.{name}") for name, value in given.items()}
    rule = HeaderRule(
        includes=lists.get("includes") or lists.get("include", ()),
        excludes=lists.get("excludes") or lists.get("exclude", ()),
    )
    if never := sorted(SECRET_HEADERS & {pattern.lower() for pattern in rule.includes}):
        log.warning("config.secret_headers", where=where, never_taken=never)
    return rule


def _matches(pattern: str, name: str) -> bool:
    parts = (re.escape(part) for part in pattern.lower().split("*"))
    return re.fullmatch(".*".join(parts), name, re.DOTALL) is not None
