"""The reasons that conditions and Events of a service have: docs/errors.md says of each what to do.

Those that Kubernetes has a word for have that word.
"""

from __future__ import annotations

from typing import Literal

State = Literal[
    "AllClosed",
    "BackedUp",
    "BackupPending",
    "Complete",
    "Configured",
    "Connected",
    "Done",
    "Embedded",
    "InMemory",
    "Monitored",
    "Paused",
    "Deleting",
    "Pinned",
    "Restoring",
    "RollingOut",
    "Running",
    "ScaledToZero",
    "Serving",
    "Starting",
    "Unverified",
    "UpdatePending",
    "Verified",
]
"""How a service is, with nothing to mend."""

Manifest = Literal[
    "ConfigMapKeyNotFound",
    "ConfigMapNotFound",
    "Contested",
    "InvalidReference",
    "InvalidSpec",
    "ReferenceForbidden",
    "Refused",
    "RevisionInvalid",
    "RevisionNotFound",
    "SecretKeyNotFound",
    "SecretNotFound",
    "SourceNotCopied",
]
"""What the manifest says can't be brought about."""

Refusal = Literal[
    "AdmissionDenied",
    "FailedCreate",
    "FailedDelete",
    "LimitRangeViolated",
    "PodSecurityViolated",
    "QuotaExceeded",
    "ResourcesRequired",
]
"""The namespace or the cluster takes no pod of the service."""

Image = Literal[
    "ErrImageNeverPull",
    "ErrImagePull",
    "ImageInspectError",
    "ImagePullBackOff",
    "InvalidImageName",
    "RegistryUnavailable",
]
Start = Literal[
    "CreateContainerConfigError", "CreateContainerError", "PostStartHookError", "RunContainerError"
]
Node = Literal["SchedulingGated", "Unschedulable"]
Preparation = Literal["FailedAttachVolume", "FailedCreatePodSandBox", "FailedMapVolume", "FailedMount"]
"""A node that took a pod does not come to its containers."""
Pod = Literal["CrashLoopBackOff", "OOMKilled"]
Service = Literal[
    "CircuitOpen", "DatabaseUnreachable", "InternalError", "NotReady", "ProgressDeadlineExceeded"
]
Release = Literal["ReleaseFailed", "RolledBack"]
"""What was released does not work."""
Cluster = Literal["ClusterHibernated", "ClusterNotFound", "ClusterNotReady", "ClusterReadOnly"]
"""The database of CloudNativePG that the manifest names can't be used."""

Backup = Literal["BackupFailed", "BackupOverdue", "RestoreFailed"]
"""A backup or a restore that does not come about."""

Monitoring = Literal["KindNotFound", "MonitoringForbidden"]
"""What watches a service can't be made."""
Exposure = Literal["ExposureForbidden", "NotAccepted", "RoutePending", "Routed"]
"""Whether clients outside of the cluster are led to a service."""
Budget = Literal["BudgetLeft", "BudgetUsedUp"]
"""Whether something is left of what models may cost."""
Alerting = Literal["AlertsFiring", "NoneFiring"]
"""Whether alerts of the manifest fire."""
Scaling = Literal[
    "DownstreamSaturated",
    "External",
    "Manual",
    "Measuring",
    "NoData",
    "NoReplica",
    "NotLimited",
    "Scheduled",
    "TooFewReplicas",
    "TooManyReplicas",
]
Data = Literal["DatabaseEmpty", "DatabaseReplaced", "VolumeGoing", "VolumeNotExpandable"]
"""What could cost a service its sessions."""
Event = Literal[
    "Adopted",
    "AlertFiring",
    "AlertResolved",
    "BudgetRenewed",
    "CircuitClosed",
    "CircuitOpened",
    "DownstreamRecovered",
    "DriftRepaired",
    "PasswordChanged",
    "PasswordRotated",
    "RestoreSkipped",
    "Restored",
    "ScaledIn",
    "ScaledOut",
    "UpgradeAvailable",
    "WebhookFailed",
]
"""Reasons that only Events have."""

Reason = (
    State
    | Manifest
    | Refusal
    | Image
    | Start
    | Node
    | Preparation
    | Pod
    | Service
    | Release
    | Cluster
    | Backup
    | Monitoring
    | Exposure
    | Budget
    | Alerting
    | Scaling
    | Data
    | Event
)
