"""`spec.persistence`: the database of sessions and runs, and for how long it keeps them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from lgs_crds.model.backup import Backup, RestoreFrom
from lgs_crds.model.base import Part, Resources, SecretKey
from lgs_crds.texts import HostPort, Name, Quantity


class CloudNativePG(Part):
    """A database cluster of CloudNativePG: the key `uri` of its Secret `<cluster>-app` is used."""

    cluster: Annotated[Name, StringConstraints(max_length=240)] = Field(
        description="Name of the Cluster of CloudNativePG, in the namespace of the service."
    )


class ManagedPostgres(Part):
    """One PostgreSQL server that the operator runs for this service."""

    deletion_policy: Literal["Retain", "Delete"] = Field(
        default="Retain",
        description="Whether the volume and the Secret with its password stay when the service is deleted "
        "(Retain), where a service of the same name finds them, or go with it (Delete).",
    )
    storage: Quantity = Field(
        default="10Gi",
        description="Size of the volume. It can be raised where the storage class allows expansion.",
    )
    storage_class_name: Name | None = Field(
        default=None,
        description="Class of the volume, which can't be changed. Not set: the cluster's default class.",
    )
    resources: Resources | None = Field(default=None, description="Resources of the server's container.")
    backup: Backup | None = None
    restore_from: RestoreFrom | None = None


class Postgres(Part):
    """Where sessions and runs are kept: exactly one of these."""

    uri_secret: SecretKey | None = Field(default=None, description="Secret that holds a postgres:// URI.")
    cloud_native_pg: CloudNativePG | None = Field(default=None, alias="cloudNativePG")
    managed: ManagedPostgres | None = None
    pooler: HostPort | None = Field(
        default=None,
        description="host or host:port of a PgBouncer before it, such as the Service of a Pooler of "
        "CloudNativePG. Replicas go through it as the user of the URI, and listen past it. Not with managed.",
    )


class Versions(Part):
    """The versions of a session: each run's end that left a state, and what was saved by hand."""

    limit: int = Field(
        default=100,
        ge=1,
        le=100000,
        description="Versions kept of a session. Older ones go, with the checkpoints only they need.",
    )


class Persistence(Part):
    """Where sessions and runs are kept, and for how long."""

    postgres: Postgres | None = Field(
        default=None, description="Not set: SQLite inside the single replica, which is lost with its pod."
    )
    run_ttl_hours: float = Field(
        default=24,
        alias="runTTLHours",
        gt=0,
        le=87600,
        description="Hours after which ended runs are removed.",
    )
    versions: Versions = Field(
        default_factory=Versions, description="How many versions of each session are kept."
    )
