"""Bodies about crons. A cron takes all options that a run on a thread takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import model_validator

from lgs_runtime.api.schemas.bodies.fields import Body, Id, Listing, Moment, Object, SortOrder, Text
from lgs_runtime.api.schemas.bodies.runs import RunCreateStateful, RunOptions
from lgs_runtime.model import MultitaskStrategy


class CronCreate(RunCreateStateful):
    """`POST /runs/crons` and `POST /threads/{thread_id}/runs/crons`."""

    schedule: Text
    timezone: Text | None = None
    end_time: Moment | None = None
    enabled: bool = True
    on_run_completed: Literal["delete", "keep"] | None = None


class CronPatch(RunOptions):
    """`PATCH /runs/crons/{cron_id}`; what is absent stays, and `end_time` null takes it away."""

    schedule: Text = ""
    timezone: Text | None = None
    end_time: Moment | None = None
    enabled: bool = True
    on_run_completed: Literal["delete", "keep"] | None = None
    multitask_strategy: MultitaskStrategy = "enqueue"

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, value: Any) -> Any:
        """As elsewhere, but for `end_time`."""
        if isinstance(value, Mapping):
            return {name: given for name, given in value.items() if given is not None or name == "end_time"}
        return value


class CronCount(Body):
    """`POST /runs/crons/count`."""

    assistant_id: Text | None = None
    thread_id: Id | None = None
    enabled: bool | None = None
    metadata: Object | None = None


class CronSearch(CronCount, Listing):
    """`POST /runs/crons/search`."""

    sort_by: (
        Literal[
            "cron_id",
            "assistant_id",
            "thread_id",
            "created_at",
            "updated_at",
            "next_run_date",
            "end_time",
        ]
        | None
    ) = None
    sort_order: SortOrder | None = None
    select: list[str] | None = None
