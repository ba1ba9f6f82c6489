"""`spec.rollout`: which revision the replicas run."""

from __future__ import annotations

from pydantic import Field

from lgs_crds.model.base import Part


class Rollout(Part):
    """How releases reach the replicas."""

    revision: int | None = Field(
        default=None,
        ge=1,
        description="Number of the revision that replicas run, of those in status.revisions: its image, "
        "source, graphs and settings in place of those that the manifest says. Not set: the manifest's own.",
    )
