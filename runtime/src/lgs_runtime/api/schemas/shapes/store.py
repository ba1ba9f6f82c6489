"""Answers about the long-term store."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field

from lgs_runtime.api.schemas.shapes.parts import Object


class Item(BaseModel):
    """A value in the store."""

    namespace: list[str]
    key: str
    value: Object
    created_at: datetime
    updated_at: datetime
    score: float | None = Field(None, description="how near it is to the query, where the store has an index")


class Items(BaseModel):
    """A page of items."""

    items: list[Item]


class Namespaces(BaseModel):
    """A page of namespaces."""

    namespaces: list[list[str]]
