"""What one machine runs for a manifest, or for a `langgraph.json` with the manifest's defaults: folders,
environment, policy and the application's Python. Read once for each generation.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from lgs_crds import API_VERSION, KIND, LangGraphService, ManifestError, Spec, load, parse
from lgs_crds.model.scaling import DEFAULT_MAX_REPLICAS
from lgs_operator.alerting.definitions import Definition, definitions, needs_usage
from lgs_operator.application import Application
from lgs_operator.application import read as read_application
from lgs_operator.application.graph_names import check_names, config_of
from lgs_operator.application.members import only_by_uv, what_to_install
from lgs_operator.application.project import name_of
from lgs_operator.application.target import CONFIG, kind_of
from lgs_operator.application.without_effect import without_effect
from lgs_operator.application.workspace import lock_root, workspace_of
from lgs_operator.desired.environment import variables_of
from lgs_operator.local.errors import LocalError
from lgs_operator.local.interpreter import Interpreter, installing, interpreter, making_one, syncing
from lgs_operator.monitoring.objectives import Objective, objectives
from lgs_operator.scaling import Policy


@dataclass(frozen=True, slots=True)
class Options:
    """The flags of `lgs up`, and the environment that it was started with. `manifest` may
    be a `langgraph.json`.
    """

    manifest: Path
    host: str = "127.0.0.1"
    port: int = 8123
    source: Path | None = None
    database_uri: str | None = None
    history: Path | None = None
    python: Path | None = None
    env: Mapping[str, str] | None = None
    page_port: int = 8124
    """The port of its page on the loopback interface; a free one is used if another program has it."""


@dataclass(frozen=True, slots=True)
class LocalService:
    """What to run. `command` starts a worker; `replicas` is None if the scaling law decides; `notes` say what
    differs from a cluster; `install` is the command that installs what the application needs.
    """

    name: str
    source: Path
    data_dir: Path
    command: tuple[str, ...]
    env: Mapping[str, str]
    policy: Policy
    replicas: int | None
    drain_seconds: float
    notes: tuple[str, ...]
    install: str
    alerts: tuple[Definition, ...] = ()
    objectives: tuple[Objective, ...] = ()
    usage: bool = False
    """Whether replicas are asked for what alerts need besides what the scaling law reads."""


def read(options: Options) -> LocalService:
    """The service of `options.manifest`. Raises `ManifestError`, `OSError` or `LocalError`."""
    application = None
    if kind_of(options.manifest) == "application":
        application = read_application(options.manifest, check_code=False)
    manifest = _with_defaults(application) if application else load(options.manifest)
    spec = manifest.spec
    outer = dict(os.environ if options.env is None else options.env)
    source = _source(options, spec) if application is None else _own_folder(options, application)
    if application is None:
        _check_names(options.manifest, spec, source, outer)
    python = interpreter(source, options.python, outer)
    data_dir = options.manifest.absolute().parent / ".lgs" / manifest.metadata.name
    notes = [f"the application runs on Python {python.version}: {python.why}"]
    notes += [f"{application.path.name}: {note}" for note in application.notes] if application else []
    env = python.activated(outer)
    env |= {**_environment(manifest, source, data_dir), **_users(spec, notes)}
    if application is not None:
        env["LGS_CONFIG"] = str(application.path)
    if options.database_uri:
        env["DATABASE_URI"] = options.database_uri
        notes.append("sessions are kept in the database of --database-uri")
    else:
        _say_database(spec, env, data_dir, notes)
    notes.append(f"logs of the replicas are under {data_dir / 'logs'}")
    notes += _left_out(spec, env)
    policy, replicas = _scaling(spec, notes)
    return LocalService(
        name=manifest.metadata.name,
        source=source,
        data_dir=data_dir,
        command=python.command,
        env=env,
        policy=policy,
        replicas=replicas,
        drain_seconds=float(spec.workers.drain_seconds),
        notes=tuple(notes),
        install=_install(python, source, application),
        alerts=definitions(spec),
        objectives=objectives(spec),
        usage=needs_usage(spec),
    )


def _left_out(spec: Spec, env: Mapping[str, str]) -> Iterator[str]:
    """Notes on what the manifest asks for that has no effect, or none outside of a cluster."""
    yield from map(str, without_effect(spec))
    if spec.auth.api_keys and not (env.get("LGS_API_KEYS") or env.get("LGS_API_KEYS_FILE")):
        yield "spec.auth.apiKeys takes the keys from the cluster: set LGS_API_KEYS to need some here"
    if spec.observability.tracing and not env.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        yield "spec.observability.tracing is for a cluster: OTEL_EXPORTER_OTLP_ENDPOINT traces here"
    if spec.observability.monitoring is not None:
        yield "spec.observability.monitoring is for a cluster: here a Prometheus of yours may read /metrics"
    if spec.network.ingress is not None or spec.network.http_route is not None:
        yield "spec.network leads clients to a cluster: here they use the address that is printed"
    if spec.rollout.model_fields_set:
        yield "spec.rollout is for a cluster: here a change replaces all replicas, and none goes back"
    if spec.runtime_version is not None:
        yield "spec.runtimeVersion is for a cluster: here the runtime that is installed runs"
    if spec.topology == "Split":
        yield "spec.topology is for a cluster: here each replica answers requests and executes runs"
    if spec.scaling.min_replicas == 0:
        yield "spec.scaling.minReplicas is 0: for a cluster; here one replica is there at least"


def _scaling(spec: Spec, notes: list[str]) -> tuple[Policy, int | None]:
    """The policy, and the number of replicas; None if the scaling law decides it."""
    policy = Policy.of(spec)
    if sys.platform != "linux":
        notes.append("this kernel does not balance a shared port: one replica runs, whatever the load")
        return replace(policy, min_replicas=1, max_replicas=1), 1
    most = spec.scaling.max_replicas or max(DEFAULT_MAX_REPLICAS, spec.max_replicas)
    policy = replace(policy, max_replicas=most, min_replicas=max(1, policy.min_replicas))
    return policy, None if spec.scaling.mode == "Auto" else spec.replicas


def _with_defaults(application: Application) -> LangGraphService:
    """A manifest that only names the application, with defaults for the rest."""
    name, _ = name_of(application.folder)
    spec = {"source": {"folder": "."}}
    return parse({"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": name}, "spec": spec})


def _install(python: Interpreter, source: Path, application: Application | None) -> str:
    """The command that installs what the application needs, as far as it declares that."""
    if (root := lock_root(source)) is not None and python.prefix.parent == root:
        return syncing(python, source, root)
    if application is None and (source / CONFIG).is_file():
        try:
            application = read_application(source / CONFIG, check_code=False)
        except ManifestError:
            application = None
    if application is not None and (project := only_by_uv(application)) is not None:
        return syncing(python, project, workspace_of(project) or project)
    needs = (what_to_install(application) if application else []) or ["THE PACKAGE"]
    return (
        making_one(source, needs)
        if python.of_lgs
        else installing(python.python, needs, has_pip=python.has_pip)
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


def _own_folder(options: Options, application: Application) -> Path:
    """The source folder of a `langgraph.json`, which is its own folder."""
    folder = application.folder.resolve()
    if options.source is not None and options.source.resolve() != folder:
        rule = f"is for a manifest; the code of {application.path} is in its own folder"
        raise LocalError(f"--source {options.source} {rule}")
    return folder


def _check_names(manifest: Path, spec: Spec, source: Path, outer: Mapping[str, str]) -> None:
    """Raises `ManifestError` if the manifest names graphs that its langgraph.json does not have. Errors in
    that file itself are reported by the replica."""
    config = config_of(spec, source)
    if spec.graphs or not config.is_file() or outer.keys() & {"LGS_CONFIG", "LANGSERVE_GRAPHS"}:
        return
    try:
        graphs = read_application(config, check_code=False).graphs
    except ManifestError:
        return
    if problems := check_names(spec, graphs):
        raise ManifestError(str(manifest), tuple(problems))


def _environment(manifest: LangGraphService, source: Path, data_dir: Path) -> dict[str, str]:
    """The manifest as the variables in docs/architecture.md."""
    return {
        "LGS_SERVICE": manifest.metadata.name,
        "LGS_SOURCE": str(source),
        "LGS_DATA_DIR": str(data_dir),
        # No load balancer has to be notified first: a draining process has closed its share of the port.
        "LGS_LAME_DUCK_SECONDS": "0",
        **variables_of(manifest.spec),
    }


def _users(spec: Spec, notes: list[str]) -> dict[str, str]:
    """The variables that the user sets in `pod.env`; those that only a cluster can resolve are
    left out and noted."""
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
