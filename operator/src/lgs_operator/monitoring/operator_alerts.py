"""The alerts of the operator: about itself, and about all services by what only it knows of them. Pure."""

from __future__ import annotations

from typing import Final

from lgs_operator.monitoring.alerts import Alert

_WHO: Final = "{{ $labels.namespace }}/{{ $labels.service }}"
_DESCRIBE: Final = "`kubectl describe lgs {{ $labels.service }} -n {{ $labels.namespace }}` has the message."


def _condition(kind: str, status: str, *more: str) -> str:
    """PromQL that gives 1 for each service whose condition has this status, whatever its reason, which may
    change meanwhile."""
    matchers = ",".join([f'condition="{kind}"', f'status="{status}"', *more])
    return f"max by (namespace, service) (lgs_operator_service_condition{{{matchers}}})"


def _reason(kind: str) -> str:
    """A placeholder for the reason of a condition at the time when the alert is sent."""
    series = f"lgs_operator_service_condition{{condition='{kind}',namespace='%s',service='%s'}}"
    return (
        f'{{{{ with printf "{series}" $labels.namespace $labels.service | query }}}}'
        '{{ . | first | label "reason" }}{{ end }}'
    )


_NO_BACKUPS: Final = "max by (namespace, service) (lgs_operator_backup_ready) == 0"
_LAST_BACKUP: Final = "max by (namespace, service) (lgs_operator_backup_last_success_timestamp_seconds)"

OPERATOR_ALERTS: Final = (
    Alert(
        "LGSOperatorAway",
        "critical",
        "(max by (job) (lgs_operator_leading) == 0 unless max by (job) (lgs_operator_stays_out) == 1)"
        " or absent(lgs_operator_leading) - 1",
        "5m",
        "No replica of the operator acts",
        "{{ $value }} replicas hold the lead. Services go on, and are neither scaled nor repaired.",
    ),
    Alert(
        "LGSServiceNotReady",
        "critical",
        _condition("Ready", "False", 'reason!~"Paused|Deleting|ScaledToZero|Restoring"') + " == 1",
        "10m",
        f"{_WHO} takes no work",
        f"No replica takes work: {_reason('Ready')}. {_DESCRIBE}",
    ),
    Alert(
        "LGSReplicasMissing",
        "warning",
        "max by (namespace, service)"
        " (lgs_operator_service_desired_replicas - lgs_operator_service_ready_replicas) > 0",
        "15m",
        f"{_WHO} has fewer replicas than it wants",
        f"{{{{ $value }}}} replicas are missing: {_reason('Progressing')}. {_DESCRIBE}",
    ),
    Alert(
        "LGSReplicasAtMaximum",
        "warning",
        "max by (namespace, service) (lgs_operator_service_max_replicas) and on (namespace, service) "
        + _condition("ScalingLimited", "True", 'reason="TooManyReplicas"')
        + " == 1",
        "15m",
        f"The load of {_WHO} asks for more than maxReplicas",
        "It has the {{ $value }} replicas that it may have, and the load asks for more.",
    ),
    Alert(
        "LGSScalingInactive",
        "warning",
        _condition("ScalingActive", "False", 'reason=~"NoData|Refused|InternalError"') + " == 1",
        "10m",
        f"{_WHO} is not scaled by its load",
        f"The number of replicas can't follow the load: {_reason('ScalingActive')}. {_DESCRIBE}",
    ),
    Alert(
        "LGSServiceNotReconciled",
        "warning",
        _condition("Reconciled", "False", 'reason!~"Paused|RolledBack"') + " == 1",
        "15m",
        f"{_WHO} is not as its manifest says",
        f"Something keeps it from being so: {_reason('Reconciled')}. {_DESCRIBE}",
    ),
    Alert(
        "LGSReleaseFailed",
        "warning",
        _condition("Healthy", "False") + " == 1",
        "1m",
        f"What was released of {_WHO} does not work",
        f"No replica of it is ready, or too many of its runs failed: {_reason('Healthy')}. {_DESCRIBE}",
    ),
    Alert(
        "LGSReconcileErrors",
        "warning",
        "sum by (namespace, service) (increase(lgs_operator_service_reconcile_errors_total[15m])) > 3",
        "5m",
        f"The operator fails at {_WHO}",
        "{{ $value | humanize }} reconciliations failed in a quarter of an hour: see the operator's log.",
    ),
    Alert(
        "LGSBackupFailed",
        "critical",
        f"(time() - {_LAST_BACKUP} and on (namespace, service) {_NO_BACKUPS}) or {_NO_BACKUPS}",
        "5m",
        f"Backups of {_WHO} are not made",
        "{{ if $value }}The last is {{ $value | humanizeDuration }} old{{ else }}None was kept{{ end }}: "
        f"{_reason('BackupReady')}. {_DESCRIBE}",
    ),
)
