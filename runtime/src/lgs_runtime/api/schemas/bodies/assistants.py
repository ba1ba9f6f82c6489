"""Bodies about assistants."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from lgs_runtime.api.schemas.bodies.fields import Body, Id, Listing, Object, OnConflict, SortOrder, Text

AssistantField = Literal[
    "assistant_id",
    "graph_id",
    "name",
    "description",
    "config",
    "context",
    "created_at",
    "updated_at",
    "metadata",
    "version",
]


class AssistantCreate(Body):
    """`POST /assistants`."""

    graph_id: Text
    assistant_id: Id | None = None
    config: Object = Field(default_factory=dict)
    context: Object = Field(default_factory=dict)
    metadata: Object = Field(default_factory=dict)
    if_exists: OnConflict = "raise"
    name: Text | None = None
    description: str | None = None


class AssistantPatch(Body):
    """`PATCH /assistants/{assistant_id}`; what is absent stays."""

    graph_id: Text | None = None
    config: Object | None = None
    context: Object | None = None
    metadata: Object | None = None
    name: Text | None = None
    description: str | None = None


class AssistantCount(Body):
    """`POST /assistants/count`."""

    metadata: Object | None = None
    graph_id: str | None = None
    name: str | None = None


class AssistantSearch(AssistantCount, Listing):
    """`POST /assistants/search`."""

    sort_by: Literal["assistant_id", "graph_id", "name", "created_at", "updated_at"] | None = None
    sort_order: SortOrder | None = None
    select: list[AssistantField] | None = None


class AssistantVersions(Listing):
    """`POST /assistants/{assistant_id}/versions`."""

    metadata: Object | None = None


class AssistantLatest(Body):
    """`POST /assistants/{assistant_id}/latest`."""

    version: int = Field(ge=1, le=2**31 - 1)
