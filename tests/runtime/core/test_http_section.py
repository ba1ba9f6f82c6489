"""The section `http` of langgraph.json: what it may say, and what is said of what can't work."""

from __future__ import annotations

from typing import Any

import pytest
import structlog

from lgs_runtime.errors import ConfigError
from lgs_runtime.graphs.http_section import HeaderRule, HttpSection, parse_http


def test_without_a_section_everything_is_served_at_the_root() -> None:
    assert parse_http(None, "http") == HttpSection()
    assert parse_http({"app": None, "cors": None, "mount_prefix": None}, "http") == HttpSection()


def test_every_name_of_the_public_schema_is_understood() -> None:
    with structlog.testing.capture_logs() as logs:
        section = parse_http(
            {
                "app": "./webapp.py:app",
                "disable_mcp": True,
                "disable_a2a": True,
                "disable_store": False,
                "disable_ui": True,
                "cors": {"allow_origins": ["https://x"]},
                "configurable_headers": {"includes": ["x-*"], "excludes": None},
                "logging_headers": {"excludes": ["authorization"]},
                "middleware_order": "auth_first",
                "enable_custom_route_auth": True,
                "mount_prefix": "/api/",
            },
            "http",
        )

    assert (section.app, section.mount_prefix) == ("./webapp.py:app", "/api")
    assert section.disabled == {"mcp", "a2a", "ui"}
    assert (section.auth_first, section.auth_on_custom_routes) == (True, True)
    assert section.configurable_headers == HeaderRule(includes=("x-*",))
    assert section.cors.allow_origins == ("https://x",)
    assert logs == []


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ([], "http: []: must be an object"),
        ({"app": "webapp.py"}, "http.app: 'webapp.py': must be path:variable, such as ./webapp.py:app"),
        ({"app": ":app"}, "http.app: ':app': must be path:variable"),
        ({"disable_runs": "yes"}, "http.disable_runs: 'yes': must be true or false"),
        ({"mount_prefix": "api"}, "http.mount_prefix: 'api': must be a path of letters, digits"),
        ({"mount_prefix": "/a//b"}, "http.mount_prefix: '/a//b': must be a path"),
        ({"mount_prefix": "/{x}"}, "http.mount_prefix: '/{x}': must be a path"),
        ({"mount_prefix": "/noauth"}, "http.mount_prefix: '/noauth': must be a path"),
        ({"mount_prefix": 7}, "http.mount_prefix: 7: must be a text"),
        (
            {"middleware_order": "last"},
            "http.middleware_order: 'last': must be middleware_first or",
        ),
        ({"configurable_headers": ["x"]}, "http.configurable_headers: ['x']: must be an object"),
        ({"logging_headers": {"includes": "x"}}, "http.logging_headers.includes: 'x': must be a list"),
    ],
)
def test_a_value_that_can_not_work_is_named_with_its_rule(section: Any, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_http(section, "http")

    assert str(raised.value).startswith(said)


def test_a_slip_of_the_pen_is_a_warning() -> None:
    with structlog.testing.capture_logs() as logs:
        parse_http({"disable_run": True}, "http")

    assert (logs[0]["log_level"], logs[0]["keys"]) == ("warning", ["disable_run"])


@pytest.mark.parametrize(
    ("rule", "name", "taken"),
    [
        (HeaderRule(), "x-tenant", False),
        (HeaderRule(("X-*",)), "x-Tenant", True),
        (HeaderRule(("x-*",), ("*ten*",)), "x-tenant", False),
        (HeaderRule(("x.y",)), "xzy", False),
        (HeaderRule(("*",)), "cookie", False),
        (HeaderRule(("Cookie",)), "cookie", True),
        (HeaderRule(("authorization", "*")), "Authorization", False),
        (HeaderRule(("x-api-key",)), "X-API-Key", False),
    ],
)
def test_a_rule_takes_what_is_included_and_not_excluded_and_no_secret(
    rule: HeaderRule, name: str, taken: bool
) -> None:
    assert rule.takes(name) is taken
