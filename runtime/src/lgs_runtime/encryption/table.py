"""For each method of the storage's contract: which arguments are sealed on the way in, and how its result is
opened on the way out.

A method that is not listed is refused by `EncryptedPart` and by a test: before it is used, somebody must say
what is to be sealed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from lgs_runtime.encryption import records, runs
from lgs_runtime.encryption.fields import Fields

Convert = Callable[[Fields, Any], Awaitable[Any]]
"""Converts a value of the contract from one side of the cipher to the other."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What is done with the values of one method; nothing if it carries only ids, times and counts."""

    seals: Mapping[str, Convert] = field(default_factory=dict)
    """By the argument's name. An argument that is not given is not sealed."""
    opens: Convert | None = None
    calls: Callable[..., Awaitable[Any]] | None = None
    """Replaces both: is called with the fields, the method of the inner part, and the arguments."""


def _field(model: str, name: str) -> Convert:
    return lambda fields, value: fields.field(model, name, value)


def _changes(model: str) -> Convert:
    return lambda fields, changes: fields.sealed(model, changes)


def _wanted(model: str) -> Convert:
    return lambda fields, metadata: fields.wanted(model, "metadata", metadata)


def _scope(model: str) -> Convert:
    return lambda fields, scope: fields.scope(model, scope)


def _query(model: str, within: str | None = None) -> Convert:
    return lambda fields, query: fields.query(model, query, within=within)


def _record(model: str) -> Convert:
    return lambda fields, kept: fields.record(model, kept)


def _records(model: str) -> Convert:
    return lambda fields, kept: fields.records(model, kept)


PLAIN: Final = Rule()
_OF_ASSISTANT: Final = {"scope": _scope("assistant")}
_OF_THREAD: Final = {"scope": _scope("thread")}
_OF_CRON: Final = {"scope": _scope("cron")}
_TO_EXECUTE: Final = runs.runs_to_execute

TABLE: Final[Mapping[str, Mapping[str, Rule]]] = {
    "queue": {
        "enqueue": Rule(calls=runs.enqueue),
        "enqueue_all": Rule(calls=runs.enqueue_all),
        "claim": Rule(opens=_TO_EXECUTE),
        "take_only": PLAIN,
        "leave": PLAIN,
        "join": PLAIN,
        "held": Rule(opens=_TO_EXECUTE),
        "finish": Rule({"outcome": runs.outcome}),
        "release": PLAIN,
        "reap": Rule(opens=_TO_EXECUTE),
        "end_unserved": Rule(opens=_TO_EXECUTE),
        "cancel": Rule(_OF_THREAD, _TO_EXECUTE),
        "takes": PLAIN,
        "depth": PLAIN,
    },
    "runs": {
        "get": Rule(_OF_THREAD, runs.run),
        "of_thread": Rule({"query": _query("run", within="thread")}, runs.runs),
        "of_user": Rule({"query": _query("run", within="thread")}, runs.runs),
        "unfinished": Rule(_OF_THREAD),
        "finished": PLAIN,
        "delete": Rule(_OF_THREAD),
        "expire": PLAIN,
    },
    "webhooks": {"claim": Rule(opens=runs.webhooks), "release": PLAIN, "drop": PLAIN},
    "orphans": {"older_than": PLAIN, "expect": PLAIN, "forget": PLAIN},
    "assistants": {
        "create": Rule({"assistant": records.new_assistant, **_OF_ASSISTANT}, _record("assistant")),
        "get": Rule(_OF_ASSISTANT, _record("assistant")),
        "update": Rule({"changes": _changes("assistant"), **_OF_ASSISTANT}, _record("assistant")),
        "versions": Rule({"metadata": _wanted("assistant"), **_OF_ASSISTANT}, _records("assistant")),
        "set_latest": Rule(_OF_ASSISTANT, _record("assistant")),
        "delete": Rule({**_OF_ASSISTANT, "threads_scope": _scope("thread")}),
        "search": Rule({"query": _query("assistant")}, _records("assistant")),
        "count": Rule({"query": _query("assistant")}),
    },
    "threads": {
        "create": Rule({"metadata": _field("thread", "metadata"), **_OF_THREAD}, _record("thread")),
        "get": Rule(_OF_THREAD, _record("thread")),
        "update": Rule({"metadata": _field("thread", "metadata"), **_OF_THREAD}, _record("thread")),
        "set_state": Rule(
            {"values": _field("thread", "values"), "interrupts": _field("thread", "interrupts")},
            _record("thread"),
        ),
        "delete": Rule(_OF_THREAD),
        "copy": Rule({"metadata": _field("thread", "metadata"), **_OF_THREAD}, _record("thread")),
        "search": Rule({"query": records.thread_query}, _records("thread")),
        "count": Rule({"query": records.thread_query}),
        "expire": PLAIN,
        "stale": Rule(opens=records.stale_threads),
        "note_pruned": PLAIN,
        "changed": PLAIN,
    },
    "versions": {
        "of_thread": Rule({"metadata": _wanted("version")}, _records("version")),
        "get": Rule(opens=_record("version")),
        "describe": Rule(
            {"description": _field("version", "description"), "metadata": _field("version", "metadata")},
            _record("version"),
        ),
        "add": Rule({"new": records.new_version}, _record("version")),
        "threads_over_limit": PLAIN,
        "prune": PLAIN,
        "forget_over_limit": PLAIN,
    },
    "audit": {"of_thread": Rule(opens=records.entries), "note": PLAIN, "expire": PLAIN},
    "archives": {
        "record": Rule(opens=records.archived),
        "restore": Rule({"record": records.arrived}),
        "thread_ids": PLAIN,
    },
    "crons": {
        "create": Rule({"cron": records.new_cron}, _record("cron")),
        "get": Rule(_OF_CRON, _record("cron")),
        "update": Rule({"changes": records.cron_changes, **_OF_CRON}, _record("cron")),
        "delete": Rule(_OF_CRON),
        "search": Rule({"query": _query("cron")}, _records("cron")),
        "count": Rule({"query": _query("cron")}),
        "claim": Rule(opens=records.crons_to_fire),
        "advance": PLAIN,
    },
    "spending": {"add": PLAIN, "of": PLAIN, "expire": PLAIN},
    "pins": {"watch": PLAIN},
    "signals": {"listen": PLAIN, "send": PLAIN},
    "leases": {"take": PLAIN},
    "backend": {"ping": PLAIN, "note_families": PLAIN, "now": PLAIN, "close": PLAIN},
}
