"""`spec.workers`: how runs are executed, and how many may wait."""

from __future__ import annotations

from pydantic import Field

from lgs_crds.model.base import FILLED, Part


class Queues(Part):
    """How many runs of the whole service may wait, by priority. Beyond it a request is answered 429."""

    high: int = Field(default=100, ge=1, le=1000000, description="Runs of priority high that may wait.")
    normal: int = Field(default=500, ge=1, le=1000000, description="Runs of priority normal that may wait.")
    low: int = Field(default=1000, ge=1, le=1000000, description="Runs of priority low that may wait.")
    user: int | None = Field(
        default=None,
        ge=1,
        le=1000000,
        description="Unfinished runs that one user may have, of all priorities. Not set: any number.",
    )


class Workers(Part):
    """How runs are executed."""

    concurrency: int = Field(default=50, ge=1, le=10000, description="Runs at a time in one replica.")
    queues: Queues = Field(default_factory=Queues, json_schema_extra=FILLED)
    run_timeout_seconds: float = Field(
        default=3600, gt=0, le=604800, description="Seconds after which one run is ended."
    )
    max_attempts: int = Field(
        default=3, ge=1, le=100, description="How often a run is started again after its replica was lost."
    )
    unserved_seconds: float | None = Field(
        default=None,
        ge=0,
        le=604800,
        description="Seconds for which a run waits for a graph that no replica has, as after a release that "
        "removed it; then it ends in error. 0: for ever. Default: 3600.",
    )
    drain_seconds: int = Field(
        default=60,
        ge=0,
        le=86400,
        description="Seconds that running work gets when its replica is to stop.",
    )
