"""The dashboard of the operator: an overview of all its services, and itself. Pure."""

from __future__ import annotations

from typing import Final

from lgs_operator.monitoring.panels import Board, Panel, Query, Row

_WHO: Final = "{{namespace}}/{{service}}"

OPERATOR_BOARD: Final = Board(
    uid="lgs-operator",
    title="LangGraphService operator",
    text="Made by the chart of LangGraphService: docs/monitoring.md says what each panel is for.",
    tags=("langgraphservice",),
    rows=(
        Row(
            "Services",
            (
                Panel(
                    "Ready replicas",
                    "Replicas that take work.",
                    (Query("max by (namespace, service) (lgs_operator_service_ready_replicas)", _WHO),),
                ),
                Panel(
                    "Wanted replicas",
                    "Replicas that are wanted now.",
                    (Query("max by (namespace, service) (lgs_operator_service_desired_replicas)", _WHO),),
                ),
                Panel(
                    "Changes",
                    "Changes of the number of replicas in an hour, by what decided.",
                    (
                        Query(
                            "sum by (namespace, service, code)"
                            " (increase(lgs_operator_service_scaling_changes_total[1h]))",
                            f"{_WHO} {{{{code}}}}",
                        ),
                    ),
                ),
                Panel(
                    "Not ready",
                    "1 for each service of which no replica takes work, with the reason.",
                    (
                        Query(
                            'lgs_operator_service_condition{condition="Ready",status!="True"}',
                            f"{_WHO} {{{{reason}}}}",
                        ),
                    ),
                ),
                Panel(
                    "Not as the manifest says",
                    "1 for each service that is not as its manifest says, with the reason.",
                    (
                        Query(
                            'lgs_operator_service_condition{condition="Reconciled",status!="True"}',
                            f"{_WHO} {{{{reason}}}}",
                        ),
                    ),
                ),
                Panel(
                    "Age of the last backup",
                    "Since the moment that it holds the database of.",
                    (
                        Query(
                            "time() - max by (namespace, service)"
                            " (lgs_operator_backup_last_success_timestamp_seconds)",
                            _WHO,
                        ),
                    ),
                    "s",
                ),
            ),
        ),
        Row(
            "Operator",
            (
                Panel(
                    "Services",
                    "Services that are known, and of them those due; replicas of the operator that act.",
                    (
                        Query("sum(lgs_operator_services)", "services"),
                        Query("sum(lgs_operator_due)", "due"),
                        Query("sum(lgs_operator_leading)", "leading"),
                    ),
                ),
                Panel(
                    "Reconciliations",
                    "Reconciliations a second by result.",
                    (
                        Query(
                            "sum by (result) (rate(lgs_operator_reconciles_total[5m]))",
                            "{{result}}",
                        ),
                    ),
                    "cps",
                ),
                Panel(
                    "Time of a reconciliation",
                    "Half of them, and 95 of 100, take no longer.",
                    tuple(
                        Query(
                            f"histogram_quantile({share},"
                            " sum by (le) (rate(lgs_operator_reconcile_seconds_bucket[5m])))",
                            name,
                        )
                        for share, name in ((0.5, "p50"), (0.95, "p95"))
                    ),
                    "s",
                ),
                Panel(
                    "Writes",
                    "Objects written or deleted a second.",
                    (
                        Query(
                            "sum by (kind, verb) (rate(lgs_operator_writes_total[5m]))", "{{kind}} {{verb}}"
                        ),
                    ),
                    "cps",
                ),
                Panel(
                    "Scrapes",
                    "Replicas asked for their metrics a second, by result.",
                    (Query("sum by (result) (rate(lgs_operator_scrapes_total[5m]))", "{{result}}"),),
                    "cps",
                ),
                Panel(
                    "Errors of the operator itself",
                    "In an hour.",
                    (
                        Query(
                            "sum by (where) (increase(lgs_operator_internal_errors_total[1h]))", "{{where}}"
                        ),
                        Query(
                            "sum by (namespace, service)"
                            " (increase(lgs_operator_service_reconcile_errors_total[1h])) > 0",
                            _WHO,
                        ),
                    ),
                ),
            ),
        ),
    ),
)
