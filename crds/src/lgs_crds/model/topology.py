"""`spec.topology` and `spec.api`: whether the replicas that answer requests also execute runs."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from lgs_crds.model.base import Part, Resources

Topology = Literal["Combined", "Split"]


class Api(Part):
    """The replicas that answer requests, with topology Split."""

    replicas: int = Field(
        default=2,
        ge=1,
        le=1000,
        description="How many there are, whatever the load, with topology Split.",
    )
    resources: Resources | None = Field(
        default=None, description="What one of them asks for and may use at most. Not set: pod.resources."
    )
