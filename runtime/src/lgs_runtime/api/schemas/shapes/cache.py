"""Answers about the cache."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class CacheCounts(BaseModel):
    """What the cache did for one namespace since the replica started."""

    hits: int
    misses: int
    stale: int = Field(description="hits whose time was up, answered while one caller computed anew")
    sets: int
    deletes: int
    errors: int
    waits: int = Field(description="callers that waited for another's computation")
    refreshes: int = Field(description="values computed anew beside the calls")
    ahead: int = Field(description="of these, while the old value was still fresh")
    computed_seconds: float = Field(description="how long computing the values took, together")
    bytes: int
    bytes_saved: int
    hit_rate: float | None = Field(description="null before the first lookup")


class CacheMemory(BaseModel):
    """What a replica's memory holds of the cache."""

    entries: int
    bytes: int


class CacheTuned(BaseModel):
    """A change that the replica made by itself, and why."""

    namespace: str
    ttl_factor: float
    why: str


class CacheLearned(BaseModel):
    """What the replica has learned of how often each key is requested."""

    hot: int = Field(description="keys that are requested again and again")
    ahead: bool = Field(description="whether values may be computed ahead just now")
    ttl_factors: dict[str, float] = Field(description="how many times as long values live, by namespace")
    tuned: list[CacheTuned] = Field(description="the latest 20 changes, the newest last")


class CacheWarmup(BaseModel):
    """The inputs that were run before the replica took work."""

    state: Literal["none", "running", "done"]
    named: int
    done: int
    failed: int
    left: int = Field(description="not ended when the time was up")
    seconds: float


class CacheStatistics(BaseModel):
    """The cache, as the replica that answers counts it."""

    replica: str
    redis: Literal["none", "up", "away"]
    memory: CacheMemory
    warmup: CacheWarmup
    learned: CacheLearned
    total: CacheCounts
    namespaces: dict[str, CacheCounts]


class CacheCleared(BaseModel):
    """How many results were forgotten."""

    deleted: int
