"""Variables that configure LangGraph's own server configure this one too: those of the images that its
command line builds, and those by which people configure it. None is ignored that would leave a service open,
unsealed, or on the wrong database."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import structlog

from lgs_runtime.checkpoint.options import ThreadTtl
from lgs_runtime.errors import ConfigError
from lgs_runtime.settings import Settings
from lgs_runtime.settings_loader import load_settings

GRAPHS = {"LANGSERVE_GRAPHS": '{"agent": "/deps/outer-mine/src/agent.py:graph"}'}
SECTIONS: dict[str, dict[str, Any]] = {
    "LANGGRAPH_STORE": {"index": {"embed": "/deps/outer-mine/src/embed.py:embed", "dims": 8}},
    "LANGGRAPH_AUTH": {"path": "/deps/outer-mine/src/auth.py:auth", "disable_studio_auth": True},
    "LANGGRAPH_ENCRYPTION": {"path": "/deps/outer-mine/src/sealing.py:encryption"},
    "LANGGRAPH_PRIORITY": {"path": "/deps/outer-mine/src/priority.py:priority"},
    "LANGGRAPH_HTTP": {"app": "/deps/outer-mine/src/web.py:app", "disable_mcp": True, "mount_prefix": "/api"},
    "LANGGRAPH_WEBHOOKS": {"url": {"require_https": True}, "headers": {"X": "${{ env.LG_WEBHOOK_KEY }}"}},
    "LANGGRAPH_CHECKPOINTER": {"ttl": {"default_ttl": 60, "strategy": "delete"}},
}
IMAGE = {**GRAPHS, **{name: json.dumps(section) for name, section in SECTIONS.items()}, "LG_WEBHOOK_KEY": "k"}


def loaded(folder: Path, manifest: dict[str, Any] | None = None, **env: str) -> Settings:
    """The settings in this folder, with nothing else in the environment."""
    if manifest is not None:
        (folder / "langgraph.json").write_text(json.dumps(manifest))
    return load_settings({"LGS_SOURCE": str(folder), **env})


FILE = {
    "graphs": {"agent": "./agent.py:graph"},
    "auth": {"path": "./auth.py:auth"},
    "http": {"app": "./web.py:app", "cors": {"allow_methods": ["GET"]}},
    "checkpointer": {"ttl": {"default_ttl": 5}},
}


@pytest.mark.parametrize("manifest", [None, FILE], ids=["no file", "with its file"])
def test_the_variables_of_an_image_take_effect_also_over_the_file_in_it(
    tmp_path: Path, manifest: dict[str, Any] | None
) -> None:
    settings = loaded(tmp_path, manifest, **IMAGE)

    assert settings.graphs["agent"].path == "/deps/outer-mine/src/agent.py:graph"
    assert settings.store.index is not None
    assert (settings.store.index.embed, settings.store.index.dims) == (
        "/deps/outer-mine/src/embed.py:embed",
        8,
    )
    assert settings.auth_path == "/deps/outer-mine/src/auth.py:auth"
    assert settings.disable_studio_auth
    assert settings.encryption_path == "/deps/outer-mine/src/sealing.py:encryption"
    assert settings.priority_path == "/deps/outer-mine/src/priority.py:priority"
    assert settings.http.app == "/deps/outer-mine/src/web.py:app"
    assert (settings.http.disabled, settings.http.mount_prefix) == (frozenset({"mcp"}), "/api")
    assert settings.http.cors.allow_methods == ("*",)
    assert (settings.webhooks.url.require_https, settings.webhooks.headers) == (True, {"X": "k"})
    assert settings.checkpointer.ttl.default_minutes == 60


def test_a_section_that_no_variable_holds_is_the_files(tmp_path: Path) -> None:
    settings = loaded(tmp_path, FILE, **GRAPHS, LANGGRAPH_HTTP="")

    assert settings.graphs["agent"].path.startswith("/deps/")
    assert settings.auth_path == "./auth.py:auth"
    assert settings.http.app == "./web.py:app"


def test_what_the_manifest_of_the_service_says_wins_over_the_image(tmp_path: Path) -> None:
    own = {"LGS_AUTH_PATH": "./other.py:auth", "LGS_DISABLE_STUDIO_AUTH": "false", "LGS_CONCURRENCY": "4"}

    settings = loaded(tmp_path, **IMAGE, **own, N_JOBS_PER_WORKER="9")

    assert (settings.auth_path, settings.disable_studio_auth) == ("./other.py:auth", False)
    assert settings.concurrency == 4


@pytest.mark.parametrize("name", SECTIONS)
@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_section_that_can_not_be_read_stops_the_start(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(ConfigError) as raised:
        loaded(tmp_path, **{**IMAGE, name: text})

    assert str(raised.value).startswith(f"{name}: ")


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({"LANGGRAPH_AUTH": '{"pth": "x:y"}'}, "LANGGRAPH_AUTH.pth: unknown"),
        (
            {"LANGGRAPH_AUTH": '{"path": "./a.py:a", "allow_langsmith_api_keys": true}'},
            "LANGGRAPH_AUTH.allow_",
        ),
        ({"LANGGRAPH_ENCRYPTION": '{"path": "./e.py"}'}, "LANGGRAPH_ENCRYPTION.path: './e.py'"),
        ({"LANGGRAPH_CHECKPOINTER": '{"backend": "mongo"}'}, "LANGGRAPH_CHECKPOINTER.backend: 'mongo'"),
        (
            {"LANGGRAPH_WEBHOOKS": '{"allowed_fields": ["statuss"]}'},
            "LANGGRAPH_WEBHOOKS.allowed_fields: 'statuss'",
        ),
        ({"LANGGRAPH_UI": '{"agent": "./ui.tsx"}'}, "LANGGRAPH_UI: set: must be absent"),
        ({"LANGGRAPH_CONFIG": '{"agent": {"tags": ["x"]}}'}, "LANGGRAPH_CONFIG: set: must be absent"),
        ({"LANGGRAPH_AUTH_TYPE": "langsmith"}, "LANGGRAPH_AUTH_TYPE: langsmith: must be noop"),
        ({"LANGGRAPH_AES_KEY": "0" * 16}, "LANGGRAPH_AES_KEY: set: must be absent"),
        (
            {"LS_DEFAULT_CHECKPOINTER_BACKEND": "mongo"},
            "LS_DEFAULT_CHECKPOINTER_BACKEND: mongo: must be default",
        ),
        (
            {"REDIS_CLUSTER": "true", "REDIS_URI": "redis://a:x"},
            "REDIS_URI: (not shown): must list",
        ),
        ({"REDIS_TLS_CA_CERT": "LS0t"}, "REDIS_TLS_CA_CERT: set: must be absent"),
        ({"FF_CRONS_ENABLED": "false"}, "FF_CRONS_ENABLED: false: must be absent or true"),
        ({"MOUNT_PREFIX": "api"}, "MOUNT_PREFIX: 'api': must be a path"),
        ({"CORS_CONFIG": '{"allow_origins": "*"}'}, "CORS_CONFIG.allow_origins: '*': must be a list"),
        ({"LANGGRAPH_THREAD_TTL": "soon"}, "LANGGRAPH_THREAD_TTL: soon: must be a number"),
        ({"LANGGRAPH_THREAD_TTL": '{"strategy": "no"}'}, "LANGGRAPH_THREAD_TTL.strategy: 'no'"),
        ({"BG_JOB_MAX_RETRIES": "0"}, "BG_JOB_MAX_RETRIES: 0: must be at least 1"),
        (
            {"POSTGRES_URI_CUSTOM": "mysql://h/d"},
            "POSTGRES_URI_CUSTOM: mysql://h/d: must be sqlite:///path or postgresql://",
        ),
    ],
)
def test_a_variable_that_can_not_be_honoured_stops_the_start(
    tmp_path: Path, env: dict[str, str], said: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        loaded(tmp_path, **GRAPHS, **env)

    assert str(raised.value).startswith(said)


@pytest.mark.parametrize(
    "env",
    [
        {
            "LANGGRAPH_AUTH_TYPE": "noop",
            "LANGGRAPH_UI": "",
            "LANGGRAPH_CONFIG": "{}",
            "REDIS_CLUSTER": "false",
        },
        {"LANGGRAPH_AUTH_TYPE": "langsmith", "LANGGRAPH_AUTH": '{"path": "./a.py:a"}'},
        {"LANGGRAPH_AUTH_TYPE": "langsmith", "LGS_API_KEYS": "key"},
        {"LANGGRAPH_AES_KEY": "0" * 16, "LANGGRAPH_ENCRYPTION": '{"path": "./e.py:e"}'},
        {"LS_DEFAULT_CHECKPOINTER_BACKEND": "mongo", "LANGGRAPH_CHECKPOINTER": '{"path": "./c.py:make"}'},
        {
            "LANGGRAPH_AUTH": '{"path": "./a.py:a", "allow_langsmith_api_keys": false}',
            "FF_CRONS_ENABLED": "true",
        },
    ],
)
def test_a_variable_that_says_what_is_so_stops_nothing(tmp_path: Path, env: dict[str, str]) -> None:
    assert loaded(tmp_path, **GRAPHS, **env).graphs


@pytest.mark.parametrize(
    ("env", "setting", "value"),
    [
        ({"BG_JOB_TIMEOUT_SECS": "90"}, "run_timeout_seconds", 90.0),
        ({"BG_JOB_MAX_RETRIES": "5"}, "max_attempts", 5),
        ({"BG_JOB_SHUTDOWN_GRACE_PERIOD_SECS": "7"}, "drain_seconds", 7.0),
        ({"HTTP_MAX_REQUEST_BODY_BYTES": "2048"}, "max_body_bytes", 2048),
        ({"N_JOBS_PER_WORKER": "3"}, "concurrency", 3),
        (
            {"POSTGRES_URI_CUSTOM": "postgres://h/d", "POSTGRES_URI": "postgres://x/y"},
            "database_uri",
            "postgres://h/d",
        ),
        ({"REDIS_URI_CUSTOM": "redis://mine", "REDIS_URI": "redis://x"}, "redis_uri", "redis://mine"),
        ({"REDIS_KEY_PREFIX": "shop"}, "service", "shop"),
        ({"REDIS_KEY_PREFIX": "shop", "LGS_SERVICE": "ours"}, "service", "ours"),
        ({"PORT": "7001"}, "port", 7001),
        ({"PORT": "7001", "LGS_PORT": "7002"}, "port", 7002),
        ({"LANGGRAPH_SERVER_HOST": "0.0.0.0"}, "host", "0.0.0.0"),
    ],
)
def test_a_variable_of_langgraphs_server_means_the_same_here(
    tmp_path: Path, env: dict[str, str], setting: str, value: object
) -> None:
    assert getattr(loaded(tmp_path, **GRAPHS, **env), setting) == value


def test_the_port_of_a_front_end_in_the_applications_file_is_not_the_servers(tmp_path: Path) -> None:
    settings = loaded(tmp_path, {**FILE, "env": {"PORT": "3000"}})

    assert settings.port == 8000


def test_variables_say_where_the_routes_stand_and_which_pages_may_call(tmp_path: Path) -> None:
    origins = "https://a.example, https://b.example"

    http = loaded(tmp_path, FILE, MOUNT_PREFIX="/team", CORS_ALLOW_ORIGINS=origins).http
    whole = loaded(tmp_path, FILE, CORS_CONFIG='{"allow_origins": ["https://c"]}').http.cors

    assert (http.mount_prefix, http.cors.allow_origins) == (
        "/team",
        ("https://a.example", "https://b.example"),
    )
    assert http.cors.allow_methods == ("GET",)
    assert (whole.allow_origins, whole.allow_methods) == (("https://c",), ("*",))


@pytest.mark.parametrize(
    ("text", "ttl"),
    [
        ("90", ThreadTtl(90.0, "delete")),
        ('{"strategy": "keep_latest", "default_ttl": 30}', ThreadTtl(30.0, "keep_latest")),
    ],
)
def test_a_variable_says_how_long_threads_are_kept(tmp_path: Path, text: str, ttl: ThreadTtl) -> None:
    assert loaded(tmp_path, FILE, LANGGRAPH_THREAD_TTL=text).checkpointer.ttl == ttl


def test_variables_that_change_nothing_are_named_once(tmp_path: Path) -> None:
    env = {"BG_JOB_ISOLATED_LOOPS": "true", "LANGGRAPH_METRICS_ENABLED": "false", "DD_API_KEY": "x"}

    with structlog.testing.capture_logs() as logs:
        loaded(tmp_path, **GRAPHS, **env)

    (entry,) = [entry for entry in logs if entry["log_level"] == "warning"]
    assert (entry["event"], entry["names"]) == (
        "config.variables_without_effect",
        ["BG_JOB_ISOLATED_LOOPS", "DD_API_KEY"],
    )


def test_a_file_with_a_ui_starts_and_says_that_it_is_not_served(tmp_path: Path) -> None:
    with structlog.testing.capture_logs() as logs:
        loaded(tmp_path, {**FILE, "ui": {"agent": "./ui.tsx"}})

    assert [entry["event"] for entry in logs if entry["log_level"] == "warning"] == ["config.ui_not_served"]
