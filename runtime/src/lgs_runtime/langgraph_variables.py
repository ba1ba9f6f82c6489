"""Environment variables of LangGraph's own server that have no counterpart here, or can't be honoured.

Each is deliberately honoured, refused, or named in a warning; `docs/api.md` has the table. A variable is
refused if ignoring it would leave the service open, unencrypted or on the wrong database.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import structlog

from lgs_runtime.checkpoint.options import CheckpointerOptions, parse_ttl
from lgs_runtime.errors import ConfigError, ConfigErrors
from lgs_runtime.graphs.http_section import HttpSection, parse_cors, prefix_of
from lgs_runtime.graphs.manifest_file import parse_json
from lgs_runtime.variables import Variables

WITHOUT_EFFECT: Final = (
    "A2A_A2UI_ENABLED",
    "A2A_ALLOWED_TOOL_CALL_RESULTS",
    "BG_JOB_ISOLATED_LOOPS",
    "DD_API_KEY",
    "DEFAULT_A2A_ASSISTANT_ID",
    "LANGGRAPH_LOGS_ENABLED",
    "LANGGRAPH_METRICS_ENABLED",
    "LANGGRAPH_POSTGRES_POOL_MAX_SIZE",
    "LANGGRAPH_UI_CONFIG",
    "MAX_STREAM_CHUNK_SIZE_BYTES",
    "OTEL_ENABLED",
    "REDIS_MAX_CONNECTIONS",
    "RESUMABLE_STREAM_TTL_SECONDS",
)
"""Documented for LangGraph's server, but without effect here."""
NOT_SET: Final = frozenset({"", "0", "false", "null", "{}"})
REFUSED: Final[Mapping[str, str]] = {
    "AGENT_POSTGRES_IAM_AUTH_PROVIDER": "databases are reached by what DATABASE_URI says alone",
    "AGENT_REDIS_IAM_AUTH_PROVIDER": "Redis is reached by what REDIS_URI says alone",
    "LANGGRAPH_CONFIG": "what a graph starts with is an assistant's config; make one over the API",
    "LANGGRAPH_UI": "this server serves no components of a UI; set it to nothing to start without them",
    "REDIS_GCP_SERVICE_ACCOUNT_JSON": "Redis is reached by what REDIS_URI says alone",
    "REDIS_TLS_CA_CERT": "put the certificate into the system's, and use rediss:// in REDIS_URI",
}
"""Variables that this server can't honour, and what to do instead."""
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Closed:
    """How the service is protected by other means."""

    asks_who: bool
    """Whether callers are authenticated, by the graphs' authentication or by API keys."""
    encrypts: bool
    own_checkpointer: bool


def refuse(values: Variables, closed: Closed) -> None:
    """Raises `ConfigError` for variables that are set but can't be honoured."""
    if given := [name for name in REFUSED if values.text(name, "").lower() not in NOT_SET]:
        raise ConfigErrors([ConfigError(f"{name}: set: must be absent: {REFUSED[name]}") for name in given])
    kind = values.text("LANGGRAPH_AUTH_TYPE", "noop")
    if kind != "noop" and not closed.asks_who:
        raise ConfigError(
            f"LANGGRAPH_AUTH_TYPE: {kind}: must be noop, or the service closed by LGS_API_KEYS or auth.path: "
            "this server can't ask LangSmith who calls, and must not answer everybody instead"
        )
    if values.text("LANGGRAPH_AES_KEY", "") and not closed.encrypts:
        raise ConfigError(
            "LANGGRAPH_AES_KEY: set: must be absent without encryption.path in langgraph.json: this server "
            "encrypts by functions of the application, and must not store in the clear what was to be sealed"
        )
    backend = values.text("LS_DEFAULT_CHECKPOINTER_BACKEND", "default")
    if backend != "default" and not closed.own_checkpointer:
        raise ConfigError(
            f"LS_DEFAULT_CHECKPOINTER_BACKEND: {backend}: must be default; others come by checkpointer.path"
        )
    if not values.flag("FF_CRONS_ENABLED", True):
        raise ConfigError(
            "FF_CRONS_ENABLED: false: must be absent or true: this server fires all crons there are"
        )


def warn(values: Variables) -> None:
    """Logs one warning that names the variables that are set but have no effect."""
    idle = [name for name in WITHOUT_EFFECT if values.text(name, "").lower() not in NOT_SET]
    if idle:
        log.warning("config.variables_without_effect", names=idle)


def http_of(section: HttpSection, values: Variables) -> HttpSection:
    """The section `http` with the values from variables applied. Raises `ConfigError`."""
    name = values.set_of("MOUNT_PREFIX", "LANGGRAPH_MOUNT_PREFIX")
    if prefix := values.text(name, ""):
        section = replace(section, mount_prefix=prefix_of(prefix, name))
    if text := values.text("CORS_CONFIG", ""):
        section = replace(section, cors=parse_cors(parse_json(text, "CORS_CONFIG"), "CORS_CONFIG"))
    origins = [one.strip() for one in values.text("CORS_ALLOW_ORIGINS", "*").split(",") if one.strip()]
    cors = section.cors
    if origins != ["*"] and cors.allow_origins == ("*",):
        section = replace(section, cors=replace(cors, allow_origins=tuple(origins)))
    return section


def checkpointer_of(options: CheckpointerOptions, values: Variables) -> CheckpointerOptions:
    """The section `checkpointer`, with the time to live from the variable if set. Raises `ConfigError`."""
    name = "LANGGRAPH_THREAD_TTL"
    text = values.text(name, "")
    if not text:
        return options
    if text.startswith("{"):
        return replace(options, ttl=parse_ttl(parse_json(text, name), name))
    minutes = values.number(name, 0.0, above=0.0)
    return replace(options, ttl=parse_ttl({"default_ttl": minutes}, name))
