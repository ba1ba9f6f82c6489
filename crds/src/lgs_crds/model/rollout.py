"""`spec.rollout`: which revision the replicas run, and what a release must be like to stay."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from lgs_crds.model.base import Part


class Rollout(Part):
    """How releases reach the replicas."""

    strategy: Literal["Rolling", "Canary", "Pinned"] = Field(
        default="Rolling",
        description="Rolling: replicas are replaced one by one. Canary: the new revision takes the runs of a "
        "share of the threads first, in steps. Pinned: replicas are replaced one by one, and what the old "
        "ones had begun stays with replicas of their revision until it is over.",
    )
    steps: list[Annotated[int, Field(ge=1, le=99)]] = Field(
        default=[10, 50],
        min_length=1,
        max_length=20,
        description="Shares of the threads that a canary takes one after the other, in percent.",
    )
    pause_seconds: int = Field(
        default=60, ge=0, le=604800, description="For how many seconds each step lasts at least."
    )
    pinned_seconds: int = Field(
        default=604800,
        ge=60,
        le=31536000,
        description="With Pinned: for how many seconds an old revision is kept at most. What is still pinned "
        "to it then goes on with the newest one.",
    )
    pinned_revisions: int = Field(
        default=3,
        ge=1,
        le=20,
        description="With Pinned: how many old revisions are kept at most, the newest of them.",
    )
    revision: int | None = Field(
        default=None,
        ge=1,
        description="Number of the revision that replicas run, of those in status.revisions: its image, "
        "source, graphs and settings in place of those that the manifest says. Not set: the manifest's own.",
    )
    auto_rollback: bool = Field(
        default=False,
        description="Go back by itself to the last revision that worked, from one of which no replica is "
        "ready in time or too many runs fail.",
    )
    max_error_rate: float = Field(
        default=0.5,
        ge=0,
        lt=1,
        description="Share of a new revision's runs that may end in error, or take too long; with more it "
        "has failed.",
    )
    max_p95_ratio: float | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="How many times as long as those of other revisions at the same time the runs of a new "
        "one may take, at the 95th percentile; with more it has failed. Not set: any.",
    )
    min_runs: int = Field(
        default=20,
        ge=1,
        le=1000000,
        description="Runs of a new revision that must have ended before their failures count, or how long "
        "they took; of that as many of other revisions.",
    )
