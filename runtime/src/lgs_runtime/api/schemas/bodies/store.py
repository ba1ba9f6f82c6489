"""Bodies about the store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from lgs_runtime.api.schemas.bodies.fields import MAX_TTL_MINUTES, Body, Listing, Object


class StoreKey(Body):
    """Names an item; `DELETE /store/items`."""

    namespace: Sequence[str] = ()
    key: Annotated[str, Field(min_length=1)]


class StorePut(StoreKey):
    """`PUT /store/items`."""

    value: Object
    index: Literal[False] | list[str] | None = None
    ttl: float | None = Field(None, gt=0, le=MAX_TTL_MINUTES, description="minutes")


class StoreSearch(Listing):
    """`POST /store/items/search`."""

    namespace_prefix: Sequence[str] = ()
    filter: Object | None = None
    query: str | None = None
    refresh_ttl: bool | None = None


class StoreNamespaces(Body):
    """`POST /store/namespaces`."""

    prefix: list[str] | None = None
    suffix: list[str] | None = None
    max_depth: int | None = Field(None, ge=1, le=2**31 - 1)
    limit: int = Field(100, ge=1, le=1000)
    offset: int = Field(0, ge=0, le=2**31 - 1)
