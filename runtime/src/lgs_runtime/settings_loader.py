"""Reads the settings of a replica, once, from the environment, the flags and `langgraph.json`.

A flag takes precedence over a variable, a variable over the file, and the file over the default. Invalid
values are a `ConfigError` of the form `name: value: rule`.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lgs_runtime.budgets.limits import VARIABLE as BUDGETS
from lgs_runtime.budgets.limits import parse_budgets
from lgs_runtime.checkpoint.options import CheckpointerOptions, parse_checkpointer
from lgs_runtime.checks import Gathered
from lgs_runtime.errors import ConfigError
from lgs_runtime.graphs.answer_section import VARIABLE as ANSWER_CACHE
from lgs_runtime.graphs.answer_section import parse_answers
from lgs_runtime.graphs.circuit_section import VARIABLE as CIRCUIT_BREAKER
from lgs_runtime.graphs.circuit_section import parse_circuits
from lgs_runtime.graphs.manifest import GraphSpec, Manifest, import_folders, manifest_of
from lgs_runtime.graphs.manifest_file import ManifestFile, read_manifest
from lgs_runtime.graphs.warmup_section import VARIABLE as CACHE_WARMUP
from lgs_runtime.graphs.warmup_section import parse_warmup
from lgs_runtime.graphs.webhook_section import WebhookSection, parse_webhooks
from lgs_runtime.langgraph_variables import Closed, checkpointer_of, http_of, refuse, warn
from lgs_runtime.model import QueueLimits
from lgs_runtime.pinning import pinning_of
from lgs_runtime.process_context import ProcessContext, not_a_laptop
from lgs_runtime.roles import role_of
from lgs_runtime.server_addresses import database_uris, redis_uri
from lgs_runtime.settings import USUAL, Settings
from lgs_runtime.store.options import StoreOptions, parse_store
from lgs_runtime.tracing_options import tracing_of
from lgs_runtime.variables import Variables

DEFAULT_CONFIG = "langgraph.json"


def load_settings(env: Mapping[str, str] | None = None, **flags: Any) -> Settings:
    """Reads the settings. `flags` may hold `config`, `host`, `port` and `reuse_port`; None counts as not
    given.

    Raises `ConfigError`.
    """
    outer = dict(os.environ if env is None else env)
    file = _file_of(outer, flags.get("config"))
    found = Gathered()
    settings = _settings(file, Variables({**file.env, **outer}, found), outer, flags, found)
    found.done()
    return settings


def check_file(config: Path | None) -> None:
    """Checks the file as far as possible without its later environment. Raises `ConfigError`."""
    found = Gathered()
    manifest = manifest_of(_file_of(os.environ, config), Variables({}), found)
    _sections(manifest, None, found)
    found.done()


def _sections(
    manifest: Manifest, env: Mapping[str, str] | None, found: Gathered
) -> tuple[CheckpointerOptions, StoreOptions, WebhookSection]:
    read = found.read
    checkpointer = read(
        USUAL.checkpointer, parse_checkpointer, manifest.checkpointer.content, manifest.checkpointer.where
    )
    store = read(USUAL.store, parse_store, manifest.store.content, manifest.store.where)
    webhooks = manifest.webhooks
    return checkpointer, store, read(USUAL.webhooks, parse_webhooks, webhooks.content, webhooks.where, env)


def _settings(
    file: ManifestFile,
    values: Variables,
    outer: Mapping[str, str],
    flags: Mapping[str, Any],
    found: Gathered,
) -> Settings:
    """The settings; errors are collected in `found`."""
    read = found.read
    manifest = manifest_of(file, values, found)
    source = read(USUAL.source, _source, values, manifest)
    settings = _with_servers(replace(USUAL, source=source), values, found)
    auth_path = read(None, _auth_path, values, manifest)
    checkpointer, store, webhooks = _sections(manifest, values.env, found)
    checkpointer = read(checkpointer, checkpointer_of, checkpointer, values)
    read(None, refuse, values, _closed(values, auth_path, manifest.encryption, checkpointer.path))
    warn(values)
    graphs = read(None, _graphs, manifest)
    settings = replace(
        settings,
        graphs=graphs or {},
        import_paths=(*import_folders(source), *manifest.dependencies),
        service=values.text(values.set_of("LGS_SERVICE", "REDIS_KEY_PREFIX"), USUAL.service),
        replica_id=values.text("LGS_REPLICA_ID", "") or _replica_id(),
        http=read(manifest.http, http_of, manifest.http, values),
        webhooks=webhooks,
        checkpointer=checkpointer,
        store=store,
        priority_path=manifest.priority,
        encryption_path=manifest.encryption,
        auth_path=auth_path,
        revision=values.text("LGS_REVISION", ""),
        pinning=read(None, pinning_of, values),
        pinned_wait_seconds=values.number("LGS_PINNED_WAIT_SECONDS", USUAL.pinned_wait_seconds, at_least=0.0),
        revision_digest=values.text("LGS_REVISION_DIGEST", values.text("LGS_REVISION", "")),
        tracing=read(None, tracing_of, values),
        file_env={name: text for name, text in file.env.items() if name not in outer},
    )
    settings = _with_limits(settings, values)
    settings = _with_access(settings, values, manifest)
    settings = _with_address(settings, values, outer, flags, found)
    return _with_graph_options(settings, values, graphs, found)


def _with_servers(settings: Settings, values: Variables, found: Gathered) -> Settings:
    """Adds the addresses of the database and Redis, and the role, which depends on the database."""
    data_dir = Path(values.text("LGS_DATA_DIR", str(USUAL.data_dir))).absolute()
    database_uri, direct_uri = found.read(("", None), database_uris, values, data_dir)
    return replace(
        settings,
        data_dir=data_dir,
        database_uri=database_uri,
        database_direct_uri=direct_uri,
        database_id=values.text("LGS_DATABASE_ID", "") or None,
        redis_uri=found.read(None, redis_uri, values),
        role=found.read(USUAL.role, role_of, values, database_uri),
    )


def _with_limits(settings: Settings, values: Variables) -> Settings:
    """Adds how much work a replica takes on, and for how long."""
    percent = values.integer("LGS_CANARY_PERCENT", -1, at_least=0, at_most=100)
    return replace(
        settings,
        canary_percent=None if percent < 0 else percent,
        concurrency=values.integer(
            "LGS_CONCURRENCY", USUAL.concurrency, at_least=1, alias="N_JOBS_PER_WORKER"
        ),
        queue_limits=QueueLimits(
            high=values.integer("LGS_QUEUE_HIGH", USUAL.queue_limits.high, at_least=1),
            normal=values.integer("LGS_QUEUE_NORMAL", USUAL.queue_limits.normal, at_least=1),
            low=values.integer("LGS_QUEUE_LOW", USUAL.queue_limits.low, at_least=1),
            user=values.integer("LGS_QUEUE_USER", 0, at_least=0) or None,
        ),
        run_timeout_seconds=values.number(
            "LGS_RUN_TIMEOUT_SECONDS", USUAL.run_timeout_seconds, above=0.0, alias="BG_JOB_TIMEOUT_SECS"
        ),
        max_attempts=values.integer(
            "LGS_MAX_ATTEMPTS", USUAL.max_attempts, at_least=1, alias="BG_JOB_MAX_RETRIES"
        ),
        unserved_seconds=values.number("LGS_UNSERVED_SECONDS", USUAL.unserved_seconds, at_least=0.0),
        drain_seconds=values.number(
            "LGS_DRAIN_SECONDS", USUAL.drain_seconds, at_least=0.0, alias="BG_JOB_SHUTDOWN_GRACE_PERIOD_SECS"
        ),
        run_ttl_hours=values.number("LGS_RUN_TTL_HOURS", USUAL.run_ttl_hours, above=0.0),
        versions_limit=values.integer("LGS_VERSIONS_LIMIT", USUAL.versions_limit, at_least=1),
        lease_seconds=values.number("LGS_LEASE_SECONDS", USUAL.lease_seconds, at_least=1.0),
        stall_seconds=values.number("LGS_STALL_SECONDS", USUAL.stall_seconds, at_least=0.0),
        lame_duck_seconds=values.number("LGS_LAME_DUCK_SECONDS", USUAL.lame_duck_seconds, at_least=0.0),
        max_body_bytes=values.integer(
            "LGS_MAX_BODY_BYTES", USUAL.max_body_bytes, at_least=1024, alias="HTTP_MAX_REQUEST_BODY_BYTES"
        ),
    )


def _with_access(settings: Settings, values: Variables, manifest: Manifest) -> Settings:
    """Adds who may call the API."""
    return replace(
        settings,
        disable_studio_auth=values.flag("LGS_DISABLE_STUDIO_AUTH", manifest.auth.disable_studio_auth),
        auth_openapi=manifest.auth.openapi,
        auth_cache=manifest.auth.cache,
        api_keys=values.text("LGS_API_KEYS", ""),
        api_keys_file=_file(values, "LGS_API_KEYS_FILE"),
    )


def _with_address(
    settings: Settings,
    values: Variables,
    outer: Mapping[str, str],
    flags: Mapping[str, Any],
    found: Gathered,
) -> Settings:
    """Adds where the replica listens, and whether callers there may be trusted as on a laptop."""
    host = flags.get("host") or values.text(values.set_of("LGS_HOST", "LANGGRAPH_SERVER_HOST"), USUAL.host)
    return replace(
        settings,
        host=host,
        port=found.read(USUAL.port, _port, flags.get("port"), values, outer),
        reuse_port=bool(flags.get("reuse_port")),
        admin_port=values.integer("LGS_ADMIN_PORT", 0, at_least=0, at_most=65535) or None,
        not_a_laptop=not_a_laptop(host, ProcessContext.detect(outer)),
    )


def _with_graph_options(
    settings: Settings, values: Variables, graphs: Mapping[str, GraphSpec] | None, found: Gathered
) -> Settings:
    """Adds the cache, the budgets, and the options of each graph, which can't be checked if `graphs` is None
    (invalid)."""
    cache_ttl = values.number("LGS_CACHE_TTL_SECONDS", USUAL.cache_ttl_seconds, above=0.0)
    threshold = values.integer(
        "LGS_CACHE_COMPRESSION_THRESHOLD_BYTES", USUAL.cache_compression_threshold_bytes, at_least=0
    )
    settings = replace(
        settings,
        cache_ttl_seconds=cache_ttl,
        cache_compression_threshold_bytes=threshold,
        warmup=found.read(None, parse_warmup, values.text(CACHE_WARMUP, "")),
        budgets=found.read(None, parse_budgets, values.text(BUDGETS, "")),
    )
    if graphs is None:
        return settings
    answers, circuits = values.text(ANSWER_CACHE, ""), values.text(CIRCUIT_BREAKER, "")
    return replace(
        settings,
        answers=found.read({}, parse_answers, answers, list(graphs), cache_ttl),
        circuits=found.read({}, parse_circuits, circuits, list(graphs)),
    )


def _file_of(env: Mapping[str, str], flag: str | Path | None) -> ManifestFile:
    named = str(flag) if flag else env.get("LGS_CONFIG", "").strip()
    if named:
        return read_manifest(Path(named), name="--config" if flag else "LGS_CONFIG")
    source = env.get("LGS_SOURCE", "").strip()
    default = Path(source) / DEFAULT_CONFIG if source else Path(DEFAULT_CONFIG)
    return read_manifest(default, name="langgraph.json") if default.is_file() else ManifestFile()


def _source(values: Variables, manifest: Manifest) -> Path:
    named = values.text("LGS_SOURCE", "")
    if not named:
        return (manifest.folder or Path.cwd()).absolute()
    if not Path(named).is_dir():
        raise ConfigError(f"LGS_SOURCE: {named}: must be a folder that exists")
    return Path(named).absolute()


def _graphs(manifest: Manifest) -> Mapping[str, GraphSpec]:
    if not manifest.graphs:
        where = manifest.path or "langgraph.json"
        raise ConfigError(
            f"graphs: none: at least one graph is needed; name one in {where} as "
            '"graphs": {"agent": "./graph.py:graph"} or in LANGSERVE_GRAPHS'
        )
    return manifest.graphs


def _closed(values: Variables, auth: str | None, encryption: str | None, checkpointer: str | None) -> Closed:
    keyed = bool(values.text("LGS_API_KEYS", "") or values.text("LGS_API_KEYS_FILE", ""))
    return Closed(
        asks_who=keyed or auth is not None,
        encrypts=encryption is not None,
        own_checkpointer=checkpointer is not None,
    )


def _auth_path(values: Variables, manifest: Manifest) -> str | None:
    text = values.text("LGS_AUTH_PATH", "")
    if text and ":" not in text:
        raise ConfigError(f"LGS_AUTH_PATH: {text}: must be path:variable, such as ./auth.py:auth")
    return text or manifest.auth.path


def _file(values: Variables, name: str) -> Path | None:
    text = values.text(name, "")
    return Path(text).absolute() if text else None


def _port(flag: int | str | None, values: Variables, outer: Mapping[str, str]) -> int:
    if flag is None:
        # A PORT in the application's env file is most often that of its front end.
        names = ("LGS_PORT", "PORT") if outer.get("PORT") else ("LGS_PORT",)
        return values.integer(values.set_of(*names), USUAL.port, at_least=0, at_most=65535)
    text = str(flag)
    if not text.isdecimal() or len(text) > len("65535") or int(text) > 65535:
        raise ConfigError(f"--port: {text}: must be a whole number between 0 and 65535")
    return int(text)


def _replica_id() -> str:
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
