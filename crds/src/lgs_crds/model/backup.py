"""`backup` and `restoreFrom` of a managed database: where backups go, and from which one a service begins."""

from __future__ import annotations

from pydantic import Field

from lgs_crds.model.base import Part, Resources
from lgs_crds.texts import (
    BackupName,
    BucketName,
    CronSchedule,
    Endpoint,
    Name,
    ObjectPrefix,
    Quantity,
    Region,
    ServiceName,
)


class BackupVolume(Part):
    """A volume for backups. The claim that the operator makes is `<service>-backup`; it is never deleted."""

    size: Quantity | None = Field(
        default=None, description="Size of the claim that the operator makes. Not set: 10Gi."
    )
    storage_class_name: Name | None = Field(
        default=None, description="Class of that claim. Not set: the cluster's default class."
    )
    claim_name: Name | None = Field(
        default=None,
        description="A PersistentVolumeClaim of yours instead. Not with size or storageClassName.",
    )


class S3Credentials(Part):
    """A Secret in the namespace of the service with the keys `accessKeyId` and `secretAccessKey`."""

    name: Name = Field(description="Name of the Secret.")


class BackupS3(Part):
    """A bucket behind the S3 protocol, at Amazon's or any other server, asked for in path style."""

    bucket: BucketName = Field(description="Name of the bucket, which must be there.")
    endpoint: Endpoint | None = Field(default=None, description="URL of the server. Not set: Amazon's.")
    prefix: ObjectPrefix | None = Field(
        default=None,
        description="Names of objects begin with it; each service has a folder below. Not set: the "
        "name of its namespace.",
    )
    region: Region = Field(default="us-east-1", description="Region of the bucket.")
    credentials_secret: S3Credentials = Field(
        description="Secret with the keys accessKeyId and secretAccessKey, of a user who may list, read, "
        "write and delete objects there."
    )


class Backup(Part):
    """Backups of the whole database by a schedule, to exactly one of volume and s3. Each is
    checked before an older one goes. Not set: none are made."""

    schedule: CronSchedule = Field(
        description="When a backup is made, in UTC: minute, hour, day of month, month and day of week, as a "
        "CronJob has it."
    )
    keep: int = Field(
        default=7,
        ge=1,
        le=1000,
        description="Backups of this database that are kept; the oldest go once a new one is there.",
    )
    volume: BackupVolume | None = Field(default=None, description="Keep them on a volume.")
    s3: BackupS3 | None = Field(default=None, description="Keep them in a bucket.")
    resources: Resources | None = Field(
        default=None,
        description="Resources of each container of a backup's pods. Not set: 50m CPU and 128Mi of memory "
        "are asked for, and at most 512Mi used.",
    )


class RestoreVolume(Part):
    """A volume that has backups."""

    claim_name: Name = Field(
        description="Name of the PersistentVolumeClaim, in the namespace of the service."
    )


class RestoreFrom(Part):
    """The backup that a new service begins with: of the claim `<service>-backup`, or of one of volume and s3.
    A service that has sessions restores nothing. Not set: a new service begins with an empty database."""

    service: ServiceName = Field(
        description="Name of the service that was backed up; it need not be there any more."
    )
    name: BackupName = Field(
        default="latest", description="Name of the backup, as status.backup.name told it, or latest."
    )
    volume: RestoreVolume | None = Field(default=None, description="A volume that has the backups.")
    s3: BackupS3 | None = Field(default=None, description="A bucket that has the backups.")
