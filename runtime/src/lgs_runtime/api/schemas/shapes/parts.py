"""Common parts of answers: JSON objects, and records whose fields a request may select."""

from __future__ import annotations

from types import GenericAlias
from typing import Any

from pydantic import BaseModel, create_model

Object = dict[str, Any]


def part_of(whole: type[BaseModel]) -> Any:
    """The model of a record whose fields `select` may leave out."""
    fields: dict[str, Any] = {name: (field.annotation, None) for name, field in whole.model_fields.items()}
    about = f"{whole.__name__} with the fields that `select` names; with all without it."
    return create_model(f"{whole.__name__}Fields", __doc__=about, **fields)


def parts_of(whole: type[BaseModel]) -> Any:
    """The type of a list of such records."""
    return GenericAlias(list, (part_of(whole),))
