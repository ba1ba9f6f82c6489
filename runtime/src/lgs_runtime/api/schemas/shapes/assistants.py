"""Answers about assistants and their graphs."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel

from lgs_runtime.api.schemas.shapes.parts import Object, parts_of


class Assistant(BaseModel):
    """A graph with a configuration, in one version."""

    assistant_id: str
    graph_id: str
    name: str
    description: str | None
    config: Object
    context: Object
    metadata: Object
    version: int
    created_at: datetime
    updated_at: datetime


class GraphSchemas(BaseModel):
    """JSON schemas of a graph; null where a type has none."""

    input_schema: Object | None
    output_schema: Object | None
    state_schema: Object | None
    config_schema: Object | None
    context_schema: Object | None


class AssistantSchemas(GraphSchemas):
    """JSON schemas of an assistant's graph."""

    graph_id: str


class Drawing(BaseModel):
    """A graph's nodes and edges."""

    nodes: list[Object]
    edges: list[Object]


Assistants = parts_of(Assistant)
