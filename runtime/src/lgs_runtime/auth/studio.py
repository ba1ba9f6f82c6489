"""LangGraph Studio: a web page of LangSmith that calls the API of a server from the browser.

It marks its requests with `x-auth-scheme: langsmith`, which can't be verified. On a developer's machine the
mark is accepted, as by LangGraph's development server, if the request shows that it was sent from this
machine to this machine, without a proxy, and by no page other than Studio's, one of this machine, or one that
the configuration names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

from starlette.datastructures import Headers

from lgs_runtime.graphs.http_section import Cors
from lgs_runtime.process_context import is_loopback

HEADER = "x-auth-scheme"
SCHEME = "langsmith"
NAME = "langgraph-studio-user"
HOME = "smith.langchain.com"
FORWARDING = frozenset(
    {
        "forwarded",
        "via",
        "client-ip",
        "x-client-ip",
        "x-cluster-client-ip",
        "x-original-host",
        "x-real-ip",
        "true-client-ip",
        "fastly-client-ip",
    }
)
FORWARDING_FAMILIES = ("x-forwarded-", "x-envoy-", "x-original-forwarded-", "cf-", "x-amzn-", "ngrok-")


def marked(headers: Mapping[str, str]) -> bool:
    """Whether a request is marked as Studio's."""
    return headers.get(HEADER, "").lower() == SCHEME


def comes_from_here(scope: Mapping[str, Any], cors: Cors) -> bool:
    """Whether a request was sent from this machine, by a program or by a permitted page.

    Any web page can reach the loopback interface: by a name of its own (DNS rebinding, visible in `Host`) or
    by the address (visible in `Origin`). A proxy adds headers about its client, or uses HTTP/1.0.
    """
    client, headers = scope.get("client"), Headers(raw=scope["headers"])
    if client is None or not is_loopback(client[0]) or scope.get("http_version") == "1.0":
        return False
    if any(map(_is_forwarding, headers.keys())):
        return False
    hosts, origins = headers.getlist("host"), headers.getlist("origin")
    return (
        len(hosts) == 1
        and is_loopback(_host_of(f"//{hosts[0]}"))
        and all(may_ask(origin, cors) for origin in origins)
    )


def may_ask(origin: str, cors: Cors) -> bool:
    """Whether a page of this origin may act as Studio: LangSmith's, one of this machine, or one that
    `http.cors` names (`*` names none)."""
    host = _host_of(origin)
    if is_loopback(host):
        return True
    if origin.startswith("https://") and (host == HOME or host.endswith(f".{HOME}")):
        return True
    return origin in _named(cors.allow_origins) or bool(
        cors.allow_origin_regex and re.fullmatch(cors.allow_origin_regex, origin)
    )


def _named(origins: Iterable[str]) -> set[str]:
    return {origin for origin in origins if origin != "*"}


def _is_forwarding(name: str) -> bool:
    lower = name.lower()
    return lower in FORWARDING or lower.startswith(FORWARDING_FAMILIES)


def _host_of(address: str) -> str:
    try:
        parts: SplitResult = urlsplit(address)
        # `port` raises for an invalid port. Only host and port may be there: another parser might find
        # another host in anything more.
        plain = (
            parts.port != 0 and parts.username is None and not (parts.path or parts.query or parts.fragment)
        )
        return parts.hostname or "" if plain else ""
    except ValueError:
        return ""
