"""Loads the `langgraph_sdk.Auth` object that the configuration names, and checks that it can be used.

An object that can't work raises `ConfigError` at start: a service that should be closed must never start
open.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from langgraph_sdk import Auth

from lgs_runtime.auth.dependencies import dependencies_of
from lgs_runtime.errors import ConfigError
from lgs_runtime.graphs.importing import sdk_object

OFFERED = frozenset(
    {
        "request",
        "body",
        "path",
        "method",
        "path_params",
        "query_params",
        "headers",
        "authorization",
        "scope",
        "user",
        "scopes",
    }
)
"""The parameter names by which an authentication handler may request values."""


def load_auth(path: str, source: Path, import_paths: tuple[Path, ...]) -> Auth:
    """The `Auth` object at `path:variable`. Raises `ConfigError`."""
    where = f"auth.path: {path}"
    found = sdk_object(path, Auth, source, import_paths, where)
    if (handler := found._authenticate_handler) is not None:
        check_authenticator(handler, where)
    return found


def check_authenticator(handler: Callable[..., Any], where: str) -> None:
    """Raises `ConfigError` for a handler with a parameter that can't be provided."""
    for name in parameters_of(handler) - OFFERED:
        raise ConfigError(
            f"{where}: the authenticate handler asks for {name}; it must ask for some of "
            f"{', '.join(sorted(OFFERED))}"
        )


def parameters_of(handler: Callable[..., Any]) -> frozenset[str]:
    """The names of the handler's parameters that must or can be provided, without its dependencies."""
    return frozenset(
        parameter.name
        for parameter in inspect.signature(handler).parameters.values()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        and (parameter.name in OFFERED or parameter.default is parameter.empty)
        and parameter.name not in dependencies_of(handler)
    )
