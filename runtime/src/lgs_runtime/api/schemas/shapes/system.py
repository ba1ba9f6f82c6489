"""Answers about the replica, and why a request was refused."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field


class Problem(BaseModel):
    """Why a request was refused."""

    detail: str = Field(description="`name: value: rule`, or what was not found")


class Alive(BaseModel):
    """The process lives."""

    ok: bool


class Readiness(BaseModel):
    """Whether the replica takes work, and why not."""

    ready: bool
    checks: dict[str, str]
    database_id: str


class Info(BaseModel):
    """What a server is and can do."""

    version: str
    langgraph_py_version: str
    flags: dict[str, Any]
    service: str
    replica: str
    storage: str
    graphs: list[str]
