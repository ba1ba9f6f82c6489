"""The tables that a database of the service has, with the columns that this release uses, on both databases.

A later release may have added tables and columns. None is ever renamed or removed while a release that uses
it may run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

Tables: TypeAlias = Mapping[str, frozenset[str]]
"""Names of tables, each with the names of its columns."""


def columns(words: str) -> frozenset[str]:
    """Names of columns, from a text that has spaces between them."""
    return frozenset(words.split())


_ASSISTANT: Final = columns(
    "assistant_id version graph_id name description config context metadata created_at updated_at"
)
OWN: Final[Tables] = {
    "lgs_migration": columns("version applied_at"),
    "lgs_database": columns("one id made_at kept"),
    "lgs_replica": columns("replica expires_at graphs revision share leaving pinning"),
    "lgs_assistant": _ASSISTANT,
    "lgs_assistant_version": _ASSISTANT,
    "lgs_thread": columns(
        "thread_id metadata config rest unfinished runs status values interrupts error level fairness_group"
        " versions created_by created_at updated_at state_updated_at"
        " ttl_seconds ttl_strategy ttl_from thinned_at pin"
    ),
    "lgs_run": columns(
        "run_id thread_id seq assistant_id graph_id status priority rank level fairness_group turn metadata"
        " thread_metadata kwargs multitask_strategy delete_thread_after attempt error result webhook version"
        " cancel_requested claimed_by claimed_at created_by created_at updated_at due_at ended_at pin"
    ),
    "lgs_spent_thread": columns("thread_id spent_at"),
    "lgs_webhook": columns("run_id url values attempts due_at"),
    "lgs_version": columns(
        "thread_id version checkpoint_id run_id description metadata interrupts created_at created_by"
    ),
    "lgs_crowded_thread": columns("thread_id"),
    "lgs_audit": columns("seq thread_id at who what details"),
    "lgs_cron": columns(
        "cron_id assistant_id thread_id payload metadata schedule timezone on_run_completed end_time enabled"
        " next_run_date held_until caller created_at updated_at"
    ),
    "lgs_revision": columns("revision threads runs absent_seconds seen_at"),
    "lgs_spent": columns("who seconds bucket tokens cost"),
    "lgs_spender": columns("writer number written_at"),
}
"""The tables that the migrations make."""

CHECKPOINTS: Final = "checkpoints"
STORE: Final = "store"
VECTORS: Final = "vectors"
USUAL_FAMILIES: Final = frozenset({CHECKPOINTS, STORE})
"""Families of tables that others make in a database of the service: those of the checkpointer and the store.
The third one, of the store's vectors, is there where items are searched by meaning. An application that
brings its own checkpointer or store needs none of them."""
