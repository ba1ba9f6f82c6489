"""The reasons in conditions and Events of a service; docs/errors.md says what to do about each.

Where Kubernetes has a word for a reason, that word is used.
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
"""States of a service with nothing to mend."""

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
"""The operator can't do what the manifest says."""

Refusal = Literal[
    "AdmissionDenied",
    "FailedCreate",
    "FailedDelete",
    "LimitRangeViolated",
    "PodSecurityViolated",
    "QuotaExceeded",
    "ResourcesRequired",
]
"""The namespace or the cluster refuses the service's pods."""

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
Preparation = Literal[
    "FailedAttachVolume",
    "FailedCreatePodContainer",
    "FailedCreatePodSandBox",
    "FailedMapVolume",
    "FailedMount",
    "FailedPrepareDynamicResources",
    "FailedToMakePodDataDirectories",
    "NetworkNotReady",
]
"""A node that has a pod can't start its containers."""
Pod = Literal["CrashLoopBackOff", "OOMKilled"]
Service = Literal[
    "CircuitOpen", "DatabaseUnreachable", "InternalError", "NotReady", "ProgressDeadlineExceeded"
]
Release = Literal["ReleaseFailed", "RolledBack"]
"""The release does not work."""
Cluster = Literal["ClusterHibernated", "ClusterNotFound", "ClusterNotReady", "ClusterReadOnly"]
"""The CloudNativePG database that the manifest names can't be used."""

Backup = Literal["BackupFailed", "BackupOverdue", "RestoreFailed"]
"""A backup or a restore fails or is overdue."""

Monitoring = Literal["KindNotFound", "KindUnavailable", "MonitoringForbidden"]
"""The objects that monitor a service can't be created."""
Exposure = Literal["ExposureForbidden", "NotAccepted", "RoutePending", "Routed"]
"""Whether clients outside of the cluster can reach a service."""
Budget = Literal["BudgetLeft", "BudgetUsedUp"]
"""Whether something is left of the budgets for models."""
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
Data = Literal[
    "DatabaseEmpty", "DatabaseIncomplete", "DatabaseReplaced", "VolumeGoing", "VolumeNotExpandable"
]
"""Problems with data that could cost a service its sessions."""
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
    "PinsMoved",
    "PasswordRotated",
    "RestoreSkipped",
    "Restored",
    "RevisionEnded",
    "RevisionKept",
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
