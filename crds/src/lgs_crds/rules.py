"""The rules between fields of a manifest, each once in Python and once in CEL for the API server.

`broken(spec)` gives the problems of a parsed spec. The CEL forms go into the CRD; transition rules (what may
not change) exist in CEL alone, because only the API server knows the old manifest. Where a rule holds on a
cluster only (`lgs up` runs several processes on SQLite), `cluster_only` says so and `parse` leaves it out.
What CEL can't measure is refused by Python alone: the operator's condition tells of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from lgs_crds.errors import Problem
from lgs_crds.model import ManagedPostgres, Spec
from lgs_crds.schedule_rules import above_max, below_min, first_scheduled, never_comes

POSTGRES_SOURCES = ("uriSecret", "cloudNativePG", "managed")
REDIS_SOURCES = ("uriSecret", "managed")
NEEDS_POSTGRES = (
    "more than one replica needs persistence.postgres: without it each replica would have sessions of its own"
)
BACKUP_DESTINATIONS = ("volume", "s3")
ONE_CLAIM = "must be absent with claimName, whose claim has a size and a class already"
NO_MANAGED_POOLER = "must be absent with managed, whose server has no pooler before it"
NO_SUCH_GRAPH = "must be a graph of spec.graphs"
NO_SUCH_ASSISTANT = "must be a graph of spec.graphs, or the id of an assistant"
WHICH_GRAPH = "each must name its assistant, since there are several graphs"
ASSISTANT_ID = "^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$"
MOST_WARMUP_BYTES = 64 * 1024
"""They are handed on in a variable, and Linux takes one of 128 KiB at most."""
TOO_MUCH_WARMUP = f"must take at most {MOST_WARMUP_BYTES} bytes of JSON together; put more into file"
_BACKUP = "spec.persistence.postgres.managed.backup"
_RESTORE = "spec.persistence.postgres.managed.restoreFrom"
NEEDS_CODE = "set image, or source.configMap for code on the stock image"


@dataclass(frozen=True)
class Rule:
    """`at` is the object that CEL sees as `self`, as a path under `spec`; `message` is a CEL expression. Both
    None: only Python has the rule."""

    at: str
    cel: str | None
    message: str | None
    check: Callable[[Spec], Problem | None] | None = None
    cluster_only: bool = False


def broken(spec: Spec, *, on_cluster: bool) -> tuple[Problem, ...]:
    """Problems of a spec whose single fields are right. `on_cluster`: also the rules that hold there only."""
    checks = (rule.check for rule in RULES if rule.check and (on_cluster or not rule.cluster_only))
    return tuple(problem for check in checks if (problem := check(spec)) is not None)


def _min_above_max(spec: Spec) -> Problem | None:
    low, high = spec.scaling.min_replicas, spec.scaling.max_replicas
    if high is None or low <= high:
        return None
    return Problem("spec.scaling.minReplicas", f"must not be above maxReplicas, which is {high}", low)


def _scheduled_needs_postgres(spec: Spec) -> Problem | None:
    if not _auto_on_sqlite(spec):
        return None
    return first_scheduled(
        spec, lambda each: ("minReplicas", NEEDS_POSTGRES) if each.min_replicas > 1 else None
    )


def _one_postgres(spec: Spec) -> Problem | None:
    postgres = spec.persistence.postgres
    if postgres is None:
        return None
    given = [
        name
        for name, value in zip(
            POSTGRES_SOURCES, (postgres.uri_secret, postgres.cloud_native_pg, postgres.managed), strict=True
        )
        if value is not None
    ]
    return _exactly_one("spec.persistence.postgres", given, POSTGRES_SOURCES)


def _pooler_not_managed(spec: Spec) -> Problem | None:
    postgres = spec.persistence.postgres
    if postgres is None or postgres.pooler is None or postgres.managed is None:
        return None
    return Problem("spec.persistence.postgres.pooler", NO_MANAGED_POOLER, postgres.pooler)


def _managed(spec: Spec) -> ManagedPostgres | None:
    return spec.persistence.postgres.managed if spec.persistence.postgres else None


def _one_backup_destination(spec: Spec) -> Problem | None:
    managed = _managed(spec)
    if managed is None or managed.backup is None:
        return None
    values = zip(BACKUP_DESTINATIONS, (managed.backup.volume, managed.backup.s3), strict=True)
    given = [name for name, value in values if value is not None]
    return _exactly_one(_BACKUP, given, BACKUP_DESTINATIONS)


def _one_backup_claim(spec: Spec) -> Problem | None:
    managed = _managed(spec)
    volume = managed.backup.volume if managed and managed.backup else None
    if volume is None or volume.claim_name is None:
        return None
    given = [
        name
        for name, value in (("size", volume.size), ("storageClassName", volume.storage_class_name))
        if value
    ]
    return Problem(f"{_BACKUP}.volume.{given[0]}", ONE_CLAIM) if given else None


def _one_restore_source(spec: Spec) -> Problem | None:
    managed = _managed(spec)
    source = managed.restore_from if managed else None
    if source is None or source.volume is None or source.s3 is None:
        return None
    return Problem(_RESTORE, f"must have at most one of {', '.join(BACKUP_DESTINATIONS)}", "volume s3")


def _one_redis(spec: Spec) -> Problem | None:
    redis = spec.cache.redis
    if redis is None:
        return None
    values = zip(REDIS_SOURCES, (redis.uri_secret, redis.managed), strict=True)
    given = [name for name, value in values if value is not None]
    return _exactly_one("spec.cache.redis", given, REDIS_SOURCES)


def _exactly_one(path: str, given: list[str], names: tuple[str, ...]) -> Problem | None:
    if len(given) == 1:
        return None
    return Problem(path, f"must have exactly one of {', '.join(names)}", " ".join(given) or "none of them")


def _max_needs_postgres(spec: Spec) -> Problem | None:
    highest = spec.scaling.max_replicas
    if highest is None or highest <= 1 or not _auto_on_sqlite(spec):
        return None
    return Problem("spec.scaling.maxReplicas", NEEDS_POSTGRES, highest)


def _min_needs_postgres(spec: Spec) -> Problem | None:
    lowest = spec.scaling.min_replicas
    if lowest <= 1 or not _auto_on_sqlite(spec):
        return None
    return Problem("spec.scaling.minReplicas", NEEDS_POSTGRES, lowest)


def _auto_on_sqlite(spec: Spec) -> bool:
    return spec.scaling.mode == "Auto" and spec.persistence.postgres is None


def _replicas_need_postgres(spec: Spec) -> Problem | None:
    if spec.scaling.mode == "Auto" or spec.replicas <= 1 or spec.persistence.postgres is not None:
        return None
    return Problem("spec.replicas", NEEDS_POSTGRES, spec.replicas)


def _circuits_of_graphs(spec: Spec) -> Problem | None:
    """Without `graphs` those of a langgraph.json count, which only the replica sees."""
    own = spec.circuit_breaker.graphs if spec.circuit_breaker else {}
    return _unknown_graph(spec, "spec.circuitBreaker.graphs", own)


def _answers_of_graphs(spec: Spec) -> Problem | None:
    """As for the circuits."""
    return _unknown_graph(spec, "spec.cache.answers", spec.cache.answers)


def _unknown_graph(spec: Spec, path: str, own: Iterable[str]) -> Problem | None:
    unknown = sorted(set(own) - set(spec.graphs)) if spec.graphs else []
    return Problem(path, NO_SUCH_GRAPH, unknown[0]) if unknown else None


def _warmup_of_assistants(spec: Spec) -> Problem | None:
    """Without `graphs` those of a langgraph.json count, which only the replica sees."""
    warmup = spec.cache.warmup
    named = [each.assistant for each in warmup.inputs] if warmup and spec.graphs else []
    if None in named and len(spec.graphs) > 1:
        return Problem("spec.cache.warmup.inputs", WHICH_GRAPH, "no assistant")
    unknown = [
        name for name in named if name and name not in spec.graphs and not re.fullmatch(ASSISTANT_ID, name)
    ]
    return Problem("spec.cache.warmup.inputs", NO_SUCH_ASSISTANT, unknown[0]) if unknown else None


def _warmup_bytes(spec: Spec) -> Problem | None:
    inputs = spec.cache.warmup.inputs if spec.cache.warmup else []
    size = len(json.dumps([each.model_dump(mode="json") for each in inputs]))
    if size <= MOST_WARMUP_BYTES:
        return None
    return Problem("spec.cache.warmup.inputs", TOO_MUCH_WARMUP, f"{size} bytes")


def _code(spec: Spec) -> Problem | None:
    if spec.image or (spec.source and spec.source.config_map):
        return None
    return Problem("spec.image", NEEDS_CODE, "not set")


def _count(names: tuple[str, ...]) -> str:
    return " + ".join(f"(has(self.{name}) ? 1 : 0)" for name in names)


def _exactly_one_cel(path: str, names: tuple[str, ...], check: Callable[[Spec], Problem | None]) -> Rule:
    # only pieces of known length: the API server refuses a message whose cost it can't foresee
    given = " + ".join(f"(has(self.{name}) ? ' {name}' : '')" for name in names)
    return Rule(
        path,
        f"{_count(names)} == 1",
        f"'spec.{path}:' + ({_count(names)} == 0 ? ' none of them' : {given}) + "
        f"': must have exactly one of {', '.join(names)}'",
        check,
    )


def _scheduled_cel(
    at: str,
    check: Callable[[Spec], Problem | None],
    *,
    holds: str,
    rule: str,
    scaling: str = "self",
    unless: str = "false",
    cluster_only: bool = False,
) -> Rule:
    """A rule of each entry's minReplicas. The message can't name the entry: what it costs to find it can't be
    foreseen."""
    entries = f"{scaling}.schedule"
    return Rule(
        at,
        f"{unless} || !has({entries}) || {entries}.all(each, {holds})",
        f"'spec.scaling.schedule: minReplicas of each entry {rule}",
        check,
        cluster_only,
    )


def _graphs_cel(parts: tuple[str, str], check: Callable[[Spec], Problem | None]) -> Rule:
    """Each key of a mapping is a graph of the service."""
    path = ".".join(parts)
    return Rule(
        "",
        f"{_NO_GRAPHS} || !has(self.{parts[0]}) || !has(self.{path})"
        f" || self.{path}.all(each, each in self.graphs)",
        f"'spec.{path}: ' + self.{path}.filter(each, !(each in self.graphs))[0] + ': {NO_SUCH_GRAPH}'",
        check,
    )


_NO_POSTGRES = "!has(self.persistence) || !has(self.persistence.postgres)"
_NO_GRAPHS = "!has(self.graphs) || size(self.graphs) == 0"
_WARMUP = "self.cache.warmup.inputs"
_NO_WARMUP = f"{_NO_GRAPHS} || !has(self.cache) || !has(self.cache.warmup) || !has({_WARMUP})"
_UNKNOWN = (
    f"has(each.assistant) && !(each.assistant in self.graphs || each.assistant.matches('{ASSISTANT_ID}'))"
)
_AUTO_PARTS = "self.scaling.mode == 'Auto' && (" + _NO_POSTGRES + ")"
_MOVED = "sessions would be left behind; delete this service and create another, or keep the source"

RULES: tuple[Rule, ...] = (
    Rule(
        "scaling",
        "!has(self.maxReplicas) || self.minReplicas <= self.maxReplicas",
        "'spec.scaling.minReplicas: %d: must not be above maxReplicas, which is %d'"
        ".format([self.minReplicas, self.maxReplicas])",
        _min_above_max,
    ),
    _scheduled_cel(
        "scaling",
        above_max,
        holds="each.minReplicas <= self.maxReplicas",
        rule="must not be above maxReplicas, which is %d'.format([self.maxReplicas])",
        unless="!has(self.maxReplicas)",
    ),
    _scheduled_cel(
        "scaling",
        below_min,
        holds="each.minReplicas >= self.minReplicas",
        rule="must not be below minReplicas of all times, which is %d'.format([self.minReplicas])",
    ),
    Rule(
        "scaling",
        # Of a time zone that there isn't, the API server says so instead of the message.
        "!has(self.schedule) || self.schedule.all(each,"
        " timestamp('2026-01-01T00:00:00Z').getFullYear(each.timeZone) > 0)",
        "'spec.scaling.schedule: timeZone of each entry must be a name of the IANA database'",
        never_comes,
    ),
    _exactly_one_cel("persistence.postgres", POSTGRES_SOURCES, _one_postgres),
    Rule(
        "persistence.postgres",
        "!has(self.pooler) || !has(self.managed)",
        f"'spec.persistence.postgres.pooler: ' + self.pooler + ': {NO_MANAGED_POOLER}'",
        _pooler_not_managed,
    ),
    _exactly_one_cel("persistence.postgres.managed.backup", BACKUP_DESTINATIONS, _one_backup_destination),
    Rule(
        "persistence.postgres.managed.backup.volume",
        "!has(self.claimName) || !(has(self.size) || has(self.storageClassName))",
        f"'{_BACKUP}.volume.' + (has(self.size) ? 'size' : 'storageClassName') + ': {ONE_CLAIM}'",
        _one_backup_claim,
    ),
    Rule(
        "persistence.postgres.managed.restoreFrom",
        "!(has(self.volume) && has(self.s3))",
        f"'{_RESTORE}: volume s3: must have at most one of {', '.join(BACKUP_DESTINATIONS)}'",
        _one_restore_source,
    ),
    _exactly_one_cel("cache.redis", REDIS_SOURCES, _one_redis),
    _graphs_cel(("circuitBreaker", "graphs"), _circuits_of_graphs),
    _graphs_cel(("cache", "answers"), _answers_of_graphs),
    Rule(
        "",
        f"{_NO_WARMUP} || !{_WARMUP}.exists(each, {_UNKNOWN})",
        # The API server can't foresee the cost of a message with the one that is not there.
        f"'spec.cache.warmup.inputs: an assistant: {NO_SUCH_ASSISTANT}'",
        _warmup_of_assistants,
    ),
    Rule(
        "",
        f"{_NO_WARMUP} || size(self.graphs) == 1 || {_WARMUP}.all(each, has(each.assistant))",
        f"'spec.cache.warmup.inputs: no assistant: {WHICH_GRAPH}'",
    ),
    Rule("cache.warmup.inputs", None, None, _warmup_bytes),
    Rule(
        "",
        f"!({_AUTO_PARTS}) || !has(self.scaling.maxReplicas) || self.scaling.maxReplicas <= 1",
        f"'spec.scaling.maxReplicas: %d: {NEEDS_POSTGRES}'.format([self.scaling.maxReplicas])",
        _max_needs_postgres,
        cluster_only=True,
    ),
    Rule(
        "",
        f"!({_AUTO_PARTS}) || self.scaling.minReplicas <= 1",
        f"'spec.scaling.minReplicas: %d: {NEEDS_POSTGRES}'.format([self.scaling.minReplicas])",
        _min_needs_postgres,
        cluster_only=True,
    ),
    _scheduled_cel(
        "",
        _scheduled_needs_postgres,
        holds="each.minReplicas <= 1",
        rule=f"must not be above 1: {NEEDS_POSTGRES}'",
        scaling="self.scaling",
        unless=f"!({_AUTO_PARTS})",
        cluster_only=True,
    ),
    Rule(
        "",
        f"self.scaling.mode == 'Auto' || self.replicas <= 1 || !({_NO_POSTGRES})",
        f"'spec.replicas: %d: {NEEDS_POSTGRES}'.format([self.replicas])",
        _replicas_need_postgres,
        cluster_only=True,
    ),
    Rule(
        "",
        "has(self.image) || (has(self.source) && has(self.source.configMap))",
        f"'spec.image: not set: {NEEDS_CODE}'",
        _code,
        cluster_only=True,
    ),
    Rule(
        "persistence",
        "!has(oldSelf.postgres) || !has(oldSelf.postgres.managed) ||"
        " (has(self.postgres) && has(self.postgres.managed))",
        f"'spec.persistence.postgres.managed: removed: the managed database can\\'t be taken away: {_MOVED}'",
    ),
    Rule(
        "persistence.postgres",
        "!has(self.managed) || has(oldSelf.managed)",
        f"'spec.persistence.postgres.managed: added: the database can\\'t be exchanged for a managed one: "
        f"{_MOVED}'",
    ),
    Rule(
        "persistence.postgres.managed",
        "has(self.storageClassName) == has(oldSelf.storageClassName) &&"
        " (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)",
        "'spec.persistence.postgres.managed.storageClassName: ' +"
        " (has(self.storageClassName) ? self.storageClassName : 'not set') +"
        " ': can\\'t be changed, it was ' +"
        " (has(oldSelf.storageClassName) ? oldSelf.storageClassName : 'not set')",
    ),
)
