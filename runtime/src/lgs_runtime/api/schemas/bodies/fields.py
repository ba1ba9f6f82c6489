"""The types of body fields, and models that several bodies share."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeVar
from uuid import UUID

from fastapi import Path
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from lgs_runtime.api.http.problems import describe_validation
from lgs_runtime.errors import InvalidRequest

SortOrder = Literal["asc", "desc"]
OnConflict = Literal["raise", "do_nothing"]
Object = dict[str, Any]
MAX_TTL_MINUTES = 100 * 366 * 24 * 60
MAX_BATCH = 1000


def as_uuid(value: Any) -> str:
    """A UUID in canonical form. Raises `ValueError` with the rule if `value` is not a UUID."""
    try:
        return str(UUID(value))
    except (ValueError, AttributeError, TypeError):
        raise ValueError("must be a UUID") from None


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("must be between the years 1 and 9999 in UTC") from None


Moment = Annotated[datetime, AfterValidator(_in_utc)]
_AS_UUID = WithJsonSchema({"type": "string", "format": "uuid"})
Id = Annotated[str, AfterValidator(as_uuid), _AS_UUID]
CheckpointId = Annotated[str, AfterValidator(lambda text: text and as_uuid(text)), _AS_UUID]
"""Like `Id`, or empty for no checkpoint. Any other text would name no checkpoint, and a run there would start
the thread afresh."""
PathId = Annotated[str, Path(), AfterValidator(as_uuid), _AS_UUID]
Text = Annotated[str, Field(min_length=1, max_length=1024)]


class Body(BaseModel):
    """What all bodies have in common."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class SparseBody(Body):
    """A body whose nulls say nothing: clients send null for what they leave to the server."""

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: given for name, given in value.items() if given is not None}
        return value


Model = TypeVar("Model", bound=Body)


def checked(model: type[Model], given: Mapping[str, Any]) -> Model:
    """A model made of the values that are not None. Raises `InvalidRequest`."""
    try:
        return model.model_validate({name: value for name, value in given.items() if value is not None})
    except ValidationError as wrong:
        raise InvalidRequest(describe_validation([dict(error) for error in wrong.errors()])) from wrong


class Listing(Body):
    """One page of a search."""

    limit: int = Field(10, ge=1, le=1000)
    offset: int = Field(0, ge=0, le=2**31 - 1)


class Command(Body):
    """What a run does instead of taking input: resume an interrupt, update the state, go to nodes."""

    update: Object | list[Any] | None = None
    resume: Any = None
    goto: Any = None


class Checkpoint(Body):
    """Names a checkpoint of a thread."""

    thread_id: str | None = None
    checkpoint_ns: str = ""
    checkpoint_id: CheckpointId | None = None
    checkpoint_map: Object | None = None
