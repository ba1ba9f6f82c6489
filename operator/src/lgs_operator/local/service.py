"""A manifest as one machine runs it: folders, environment and policy. Read once for each generation."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from lgs_crds import LangGraphService, Spec, load
from lgs_crds.model import DEFAULT_MAX_REPLICAS
from lgs_operator.desired.environment import variables_of
from lgs_operator.scaling import Policy


class LocalError(Exception):
    """Something that keeps `lgs up` from working; the message names value, rule and way out."""


@dataclass(frozen=True, slots=True)
class Options:
    """The flags of `lgs up`, and the environment it was started with."""

    manifest: Path
    host: str = "127.0.0.1"
    port: int = 8123
    source: Path | None = None
    database_uri: str | None = None
    history: Path | None = None
    env: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class LocalService:
    """What to run. `replicas` is None where the scaling law decides; `notes` say what differs from a
    cluster.
    """

    name: str
    source: Path
    data_dir: Path
    env: Mapping[str, str]
    policy: Policy
    replicas: int | None
    drain_seconds: float
    notes: tuple[str, ...]


def read(options: Options) -> LocalService:
    """The service of `options.manifest`. Raises `ManifestError`, `OSError` or `LocalError`."""
    manifest = load(options.manifest)
    spec = manifest.spec
    outer = dict(os.environ if options.env is None else options.env)
    source = _source(options, spec)
    data_dir = options.manifest.absolute().parent / ".lgs" / manifest.metadata.name
    notes: list[str] = []
    env = {**outer, **_environment(manifest, source, data_dir), **_users(spec, notes)}
    if options.database_uri:
        env["DATABASE_URI"] = options.database_uri
    _say_database(spec, env, data_dir, notes)
    if spec.auth.api_keys and not (env.get("LGS_API_KEYS") or env.get("LGS_API_KEYS_FILE")):
        notes.append("spec.auth.apiKeys takes the keys from the cluster: set LGS_API_KEYS to need some here")
    most = spec.scaling.max_replicas or max(DEFAULT_MAX_REPLICAS, spec.scaling.min_replicas)
    policy = replace(Policy.of(spec), max_replicas=most)
    replicas = None if spec.scaling.mode == "Auto" else spec.replicas
    if sys.platform != "linux":
        notes.append("this kernel does not balance a shared port: one replica runs, whatever the load")
        policy, replicas = replace(policy, min_replicas=1, max_replicas=1), 1
    return LocalService(
        name=manifest.metadata.name,
        source=source,
        data_dir=data_dir,
        env=env,
        policy=policy,
        replicas=replicas,
        drain_seconds=float(spec.workers.drain_seconds),
        notes=tuple(notes),
    )


def _source(options: Options, spec: Spec) -> Path:
    beside = options.manifest.absolute().parent
    folder = options.source or (Path(spec.source.folder) if spec.source and spec.source.folder else Path())
    source = (Path.cwd() if options.source else beside) / folder
    if not source.is_dir():
        raise LocalError(f"source folder {source} does not exist; name the folder of the graph with --source")
    if not spec.graphs and not (source / "langgraph.json").is_file():
        raise LocalError(
            f"spec.graphs is empty and {source} has no langgraph.json; one of them must name a graph"
        )
    return source.resolve()


def _environment(manifest: LangGraphService, source: Path, data_dir: Path) -> dict[str, str]:
    """The manifest in the words of docs/architecture.md."""
    return {
        "LGS_SERVICE": manifest.metadata.name,
        "LGS_SOURCE": str(source),
        "LGS_DATA_DIR": str(data_dir),
        # No load balancer has to hear of it first: a process that drains has closed its share of the port.
        "LGS_LAME_DUCK_SECONDS": "0",
        **variables_of(manifest.spec),
    }


def _users(spec: Spec, notes: list[str]) -> dict[str, str]:
    """What the user sets in `pod.env`; what only a cluster can resolve is left out and said."""
    missing = [each.name for each in spec.pod.env if each.value is None]
    if missing:
        names = ", ".join(missing)
        notes.append(f"spec.pod.env takes {names} from the cluster: set them in the environment here")
    return {each.name: each.value for each in spec.pod.env if each.value is not None}


def _say_database(spec: Spec, env: Mapping[str, str], data_dir: Path, notes: list[str]) -> None:
    if env.get("DATABASE_URI"):
        notes.append("sessions are kept in the database of DATABASE_URI")
        return
    note = f"sessions are kept in SQLite under {data_dir}"
    if spec.persistence.postgres:
        note += " (the manifest's Postgres is for the cluster; DATABASE_URI would change it)"
    notes.append(note)
