"""Assistants and their versions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from lgs_runtime.model import Assistant, Json, Page, Scope
from lgs_runtime.storage.queries import AssistantQuery


class Assistants(Protocol):
    """Graphs with their configurations."""

    async def create(
        self, assistant: Assistant, if_exists: str = "raise", scope: Scope | None = None
    ) -> Assistant:
        """Stores version 1 of an assistant. `if_exists`: `raise` (`Conflict`) or `do_nothing` (returns the
        stored assistant if it is within the scope, else `Conflict`)."""

    async def get(self, assistant_id: str, scope: Scope | None = None) -> Assistant:
        """One assistant at its current version. Raises `NotFound`."""

    async def update(
        self, assistant_id: str, changes: Mapping[str, Any], scope: Scope | None = None
    ) -> Assistant:
        """Stores a new version with `changes` (fields of `Assistant`; metadata is merged) and makes it the
        current one. Raises `NotFound`, `InvalidRequest`."""

    async def versions(
        self, assistant_id: str, page: Page, metadata: Json | None = None, scope: Scope | None = None
    ) -> Sequence[Assistant]:
        """The versions of an assistant, newest first."""

    async def set_latest(self, assistant_id: str, version: int, scope: Scope | None = None) -> Assistant:
        """Makes a stored version, which must be within the scope too, the current one. Raises `NotFound`."""

    async def delete(
        self,
        assistant_id: str,
        *,
        delete_threads: bool = False,
        scope: Scope | None = None,
        threads_scope: Scope | None = None,
    ) -> None:
        """Deletes an assistant with its versions and its crons, whoever made them; with `delete_threads`,
        also its threads within `threads_scope`. Raises `NotFound`."""

    async def search(self, query: AssistantQuery) -> Sequence[Assistant]:
        """A page of the assistants that match."""

    async def count(self, query: AssistantQuery) -> int:
        """How many assistants match."""
