"""Keeps checkpoint ids in order across replicas with different clocks.

Checkpoints of a thread sort by the time in their ids, which each replica takes from its own clock; the latest
is the one that sorts last. A replica whose clock is behind would write checkpoints that sort before those of
the replica it took a run over from: the thread would fall back to the other's, and later steps would be lost.
So a process that has read a checkpoint writes ids that sort after it, as in a hybrid logical clock (Kulkarni
et al., 2014): LangGraph's ids never go back within a process, and a checkpoint that was read counts like one
that was written here.
"""

from __future__ import annotations

import re
from typing import Final

from langgraph.checkpoint.base import CheckpointTuple
from langgraph.checkpoint.base import id as ids

from lgs_runtime.checkpoint.configs import checkpoint_id_of

_UUID6: Final = re.compile(r"([0-9a-f]{8})-([0-9a-f]{4})-6([0-9a-f]{3})-[0-9a-f]{4}-[0-9a-f]{12}")


def advanced_past(found: CheckpointTuple | None) -> CheckpointTuple | None:
    """Returns the checkpoint, after making all later ids of this process sort after its id."""
    if found is not None:
        advance_ids_past(checkpoint_id_of(found.config))
    return found


def advance_ids_past(checkpoint_id: str) -> None:
    """Makes all later ids of this process sort after `checkpoint_id`. An id that contains no time (one that
    is not LangGraph's) is ignored."""
    parts = _UUID6.fullmatch(checkpoint_id)
    if parts is None:
        return
    hundred_ns = int("".join(parts.groups()), 16)
    if hundred_ns > (ids._last_v6_timestamp or 0):
        ids._last_v6_timestamp = hundred_ns  # type: ignore[assignment]
