"""The metadata of a checkpoint: LangGraph's own, extended by the plain values of the call's config.
LangGraph's function goes through the whole config for each checkpoint; here that is done once for the steps
of one call, which share their config."""

from __future__ import annotations

from collections.abc import Mapping
from operator import is_
from typing import TYPE_CHECKING, Any, Final, cast

from langgraph.checkpoint.base import CheckpointMetadata, get_serializable_checkpoint_metadata

from lgs_runtime.checkpoint.configs import NAMES_OF_A_CHECKPOINT, without_who_asked

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

_NOWHERE: Final[Mapping[str, Any]] = dict.fromkeys(NAMES_OF_A_CHECKPOINT)


class CallMetadata:
    """Metadata for the checkpoints of one call of a graph. Correct for other configs too, but slower."""

    def __init__(self) -> None:
        self._seen: tuple[Mapping[str, Any], Mapping[str, Any]] = ({}, {})
        self._added: Mapping[str, Any] = {}

    def of(self, config: RunnableConfig, metadata: CheckpointMetadata) -> CheckpointMetadata:
        """The metadata of a checkpoint, extended by the config's values except those that identify the
        caller. For a saver that gets only the checkpoint's address as config."""
        configurable = {**config["configurable"], **_NOWHERE}
        about = config.get("metadata") or {}
        if not (_same(configurable, self._seen[0]) and _same(about, self._seen[1])):
            none: CheckpointMetadata = {}
            self._added = cast(
                Mapping[str, Any], get_serializable_checkpoint_metadata(without_who_asked(config), none)
            )
            self._seen = (configurable, dict(about))
        described = cast(dict[str, Any], get_serializable_checkpoint_metadata({}, metadata))
        for name, value in self._added.items():
            described.setdefault(name, value)
        return cast(CheckpointMetadata, described)


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether both have the same objects under the same names, in the same order."""
    return tuple(one) == tuple(other) and all(map(is_, one.values(), other.values()))
