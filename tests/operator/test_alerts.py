"""The alerts: each fires when it should and says what is wrong in numbers, and is silent while all is well.
Played by promtool, on the rules as the operator and the chart have them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from lgs_crds import Spec, parse
from lgs_operator.monitoring.alerts import RUNBOOK, Alert, groups
from lgs_operator.monitoring.generate import RULES, contents
from lgs_operator.monitoring.operator_alerts import OPERATOR_ALERTS
from lgs_operator.monitoring.selecting import Replicas
from lgs_operator.monitoring.service_alerts import service_alerts
from support import prometheus

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "monitoring.md").read_text("utf-8")
OF_PODS = 'job="team/support",namespace="team",lgs_dev_service="support"'
SERVICE = {"namespace": "team", "lgs_dev_service": "support"}
OF_OPERATOR = {"namespace": "team", "service": "support"}


def spec(**more: Any) -> Spec:
    document = {
        "apiVersion": "lgs.dev/v1alpha1",
        "kind": "LangGraphService",
        "metadata": {"name": "support", "namespace": "team"},
        "spec": {"image": "example.com/support:1"} | more,
    }
    return parse(document).spec


WHOLE = spec(
    scaling={"target": {"p95LatencySeconds": 5, "byPriority": {"low": {"queueWaitSeconds": 600}}}},
    cache={"redis": {"managed": {}}},
    budgets={"limits": [{"tokens": 1000, "per": "Hour"}]},
    observability={"slo": {"availability": 0.9, "p95Seconds": 5}},
)
SERVICE_ALERTS = service_alerts(Replicas("team", "support"), WHOLE)
ALERTS = {each.name: each for each in (*SERVICE_ALERTS, *OPERATOR_ALERTS)}


def replica(name: str, *more: str, pod: str = "support-1") -> str:
    labels = ",".join([OF_PODS, f'pod="{pod}"', *more])
    return f"{name}{{{labels}}}"


def operator(name: str, *more: str) -> str:
    labels = ",".join(['job="lgs/operator"', 'namespace="team"', 'service="support"', *more])
    return f"{name}{{{labels}}}"


def condition(kind: str, status: str, reason: str) -> str:
    labels = (f'condition="{kind}"', f'status="{status}"', f'reason="{reason}"')
    return operator("lgs_operator_service_condition", *labels)


HOUR = "x240"
"""Of values each quarter of a minute."""
NORMAL: Mapping[str, str] = {
    replica("up"): f"1{HOUR}",
    replica("up", pod="support-2"): f"1{HOUR}",
    **{
        replica(name, f'priority="{each}"'): values
        for each in ("high", "normal", "low")
        for name, values in {
            "lgs_runs_arrived_total": f"0+10{HOUR}",
            "lgs_runs_rejected_total": f"0{HOUR}",
            "lgs_queue_depth": f"3{HOUR}",
            "lgs_queue_oldest_seconds": f"2{HOUR}",
        }.items()
    },
    replica("lgs_runs_finished_total", 'status="success"'): f"0+30{HOUR}",
    replica("lgs_runs_finished_total", 'status="error"'): f"0+1{HOUR}",
    replica("lgs_runs_finished_total", 'status="timeout"'): f"0{HOUR}",
    replica("lgs_run_latency_seconds_bucket", 'le="1.0"'): f"0+30{HOUR}",
    replica("lgs_run_latency_seconds_bucket", 'le="5.0"'): f"0+31{HOUR}",
    replica("lgs_run_latency_seconds_bucket", 'le="+Inf"'): f"0+31{HOUR}",
    replica("lgs_run_latency_seconds_count"): f"0+31{HOUR}",
    replica("lgs_queue_depth_errors_total"): f"0{HOUR}",
    replica("lgs_cache_redis_up"): f"1{HOUR}",
    replica("lgs_circuit_state", 'kind="graph"', 'circuit="agent"', 'state="open"'): f"0{HOUR}",
    replica("lgs_circuit_state", 'kind="graph"', 'circuit="agent"', 'state="closed"'): f"1{HOUR}",
    replica("lgs_budget_left", 'budget="tokens-per-hour"'): f"1000-4{HOUR}",
    # one machine that stood still is no alert
    replica("lgs_leases_lost_total"): "0x100 1x140",
    'lgs_operator_leading{job="lgs/operator",pod="a"}': f"1{HOUR}",
    'lgs_operator_leading{job="lgs/operator",pod="b"}': f"0{HOUR}",
    'lgs_operator_stays_out{job="lgs/operator",pod="a"}': f"0{HOUR}",
    operator("lgs_operator_service_desired_replicas"): f"2{HOUR}",
    # a rollout, which takes its time
    operator("lgs_operator_service_ready_replicas"): "2x60 1x40 2x140",
    operator("lgs_operator_service_max_replicas"): f"10{HOUR}",
    operator("lgs_operator_service_reconcile_errors_total"): "0x60 1x180",
    operator("lgs_operator_backup_ready"): f"1{HOUR}",
    operator("lgs_operator_backup_last_success_timestamp_seconds"): f"1{HOUR}",
    condition("Ready", "True", "Serving"): f"1{HOUR}",
    condition("Reconciled", "True", "Done"): f"1{HOUR}",
    condition("Healthy", "True", "Verified"): f"1{HOUR}",
    condition("BackupReady", "True", "BackedUp"): f"1{HOUR}",
    condition("ScalingActive", "True", "Measuring"): f"1{HOUR}",
    condition("ScalingLimited", "True", "TooFewReplicas"): f"1{HOUR}",
}
NEITHER_READY_NOR_WRONG: Mapping[str, str] = {
    # paused by hand, without replicas, and by an earlier operator's choice
    condition("Ready", "False", "Paused"): f"1{HOUR}",
    condition("Reconciled", "False", "Paused"): f"1{HOUR}",
    condition("ScalingActive", "False", "Manual"): f"1{HOUR}",
    condition("ScalingLimited", "False", "NotLimited"): f"1{HOUR}",
    operator("lgs_operator_service_desired_replicas"): f"0{HOUR}",
    operator("lgs_operator_service_ready_replicas"): f"0{HOUR}",
    replica("lgs_queue_oldest_seconds", 'priority="low"'): f"900{HOUR}",
    replica("lgs_runs_finished_total", 'status="error"'): "0x100 4x140",
    replica("lgs_runs_finished_total", 'status="success"'): f"0{HOUR}",
    'lgs_operator_leading{job="green/operator",pod="a"}': f"0{HOUR}",
    'lgs_operator_leading{job="lgs/operator",pod="a"}': f"1{HOUR}",
    'lgs_operator_stays_out{job="green/operator",pod="a"}': f"1{HOUR}",
}


@dataclass(frozen=True)
class Fires:
    """Series that make an alert fire half an hour later, and what it says then."""

    series: Mapping[str, str]
    description: str
    labels: Mapping[str, str] = field(default_factory=dict)


def _down(kind: str, reason: str) -> Mapping[str, str]:
    """A condition is not as it should be, first for another reason."""
    return {
        condition(kind, "False", "Starting"): "1x60 _x180",
        condition(kind, "False", reason): f"_x61 1{HOUR}",
    }


def _ended(success: int, error: int) -> Mapping[str, str]:
    """So many runs in each quarter of a minute."""
    return {
        replica("lgs_runs_finished_total", 'status="success"'): f"0+{success}{HOUR}",
        replica("lgs_runs_finished_total", 'status="error"'): f"0+{error}{HOUR}",
        replica("lgs_runs_rejected_total", 'priority="normal"'): f"0{HOUR}",
    }


def _took(within: int, runs: int) -> Mapping[str, str]:
    """So many of the runs took five seconds at most."""
    return {
        replica("lgs_run_latency_seconds_bucket", 'le="5.0"'): f"0+{within}{HOUR}",
        replica("lgs_run_latency_seconds_count"): f"0+{runs}{HOUR}",
    }


WELL = "times as fast as 30 days allow, in which 90 % of the runs are to have ended well."
IN_TIME = (
    "times as fast as 30 days allow, in which 95 % of the runs are to have taken no longer than promised."
)
SEE = "`kubectl describe lgs support -n team` has the message."
PRIORITY = {"priority": "normal"}
FIRING: Mapping[str, Fires] = {
    "LGSQueueFull": Fires(
        {replica("lgs_runs_rejected_total", 'priority="normal"'): f"0+2{HOUR}"},
        "40 runs of priority normal were answered 429 in five minutes.",
        PRIORITY,
    ),
    "LGSQueueWaitsLong": Fires(
        {replica("lgs_queue_oldest_seconds", 'priority="normal"'): f"0+1{HOUR}"},
        "The oldest run of priority normal has waited for 2m 0s.",
        PRIORITY,
    ),
    "LGSLatencyOverTarget": Fires(
        {
            replica("lgs_run_latency_seconds_bucket", 'le="5.0"'): f"0+1{HOUR}",
            replica("lgs_run_latency_seconds_bucket", 'le="10.0"'): f"0+11{HOUR}",
            replica("lgs_run_latency_seconds_bucket", 'le="+Inf"'): f"0+11{HOUR}",
        },
        "95 of 100 runs take up to 9.725s; the manifest's target is 5 s.",
    ),
    "LGSRunsFail": Fires(
        {
            replica("lgs_runs_finished_total", 'status="success"'): f"0+3{HOUR}",
            replica("lgs_runs_finished_total", 'status="error"'): f"0+1{HOUR}",
        },
        "25% of the runs of a quarter of an hour failed or took too long.",
    ),
    "LGSRunsUnserved": Fires(
        {replica("lgs_queue_unserved", 'graph="agent"'): f"7{HOUR}"},
        "7 runs wait for the graph agent.",
        {"graph": "agent"},
    ),
    "LGSDatabaseSilent": Fires(
        {replica("lgs_queue_depth_errors_total"): f"0+1{HOUR}"},
        "20 questions for the queue had no answer in time, in five minutes.",
    ),
    "LGSRedisAway": Fires(
        {
            replica("lgs_cache_redis_up"): f"0{HOUR}",
            replica("lgs_cache_redis_up", pod="support-2"): f"1{HOUR}",
        },
        "1 replicas work without it: results are computed anew, live events stay in one.",
    ),
    "LGSCircuitOpen": Fires(
        {replica("lgs_circuit_state", 'kind="graph"', 'circuit="agent"', 'state="open"'): f"1{HOUR}"},
        "The circuit agent (graph) is open in 1 replicas.",
        {"kind": "graph", "circuit": "agent"},
    ),
    "LGSBudgetUsedUp": Fires(
        {
            replica("lgs_budget_left", 'budget="tokens-per-hour"'): "1000x60 0x180",
            replica("lgs_budget_left", 'budget="cost-per-day"'): f"7{HOUR}",
        },
        "0 is left of the budget tokens-per-hour: new runs are answered 429.",
        {"budget": "tokens-per-hour"},
    ),
    "LGSLeasesLost": Fires(
        {replica("lgs_leases_lost_total"): "0x80 1x20 3x140"},
        "3 leases ran out in a quarter of an hour: others began those runs again.",
    ),
    "LGSReplicaNotScraped": Fires(
        {replica("up"): f"0{HOUR}", replica("up", pod="support-2"): f"1{HOUR}"},
        "1 replicas do not answer Prometheus at /metrics.",
    ),
    "LGSAvailabilityBudgetBurnsFast": Fires(_ended(1, 9), f"It goes 9 {WELL}"),
    "LGSAvailabilityBudgetBurnsSlowly": Fires(_ended(6, 4), f"It goes 4 {WELL}"),
    "LGSLatencyBudgetBurnsFast": Fires(_took(1, 10), f"It goes 18 {IN_TIME}"),
    "LGSLatencyBudgetBurnsSlowly": Fires(_took(8, 10), f"It goes 4 {IN_TIME}"),
    "LGSServiceNotReady": Fires(
        _down("Ready", "CrashLoopBackOff"), f"No replica takes work: CrashLoopBackOff. {SEE}"
    ),
    "LGSReplicasMissing": Fires(
        {
            operator("lgs_operator_service_desired_replicas"): f"3{HOUR}",
            operator("lgs_operator_service_ready_replicas"): f"1{HOUR}",
            **_down("Progressing", "Unschedulable"),
        },
        f"2 replicas are missing: Unschedulable. {SEE}",
    ),
    "LGSReplicasAtMaximum": Fires(
        {
            operator("lgs_operator_service_max_replicas"): f"10{HOUR}",
            condition("ScalingLimited", "True", "TooManyReplicas"): f"1{HOUR}",
        },
        "It has the 10 replicas that it may have, and the load asks for more.",
    ),
    "LGSScalingInactive": Fires(
        {condition("ScalingActive", "False", "NoData"): f"1{HOUR}"},
        f"The number of replicas can't follow the load: NoData. {SEE}",
    ),
    "LGSServiceNotReconciled": Fires(
        _down("Reconciled", "SecretNotFound"),
        f"Something keeps it from being so: SecretNotFound. {SEE}",
    ),
    "LGSReleaseFailed": Fires(
        {condition("Healthy", "False", "RolledBack"): f"1{HOUR}"},
        f"No replica of it is ready, or too many of its runs failed: RolledBack. {SEE}",
    ),
    "LGSReconcileErrors": Fires(
        {operator("lgs_operator_service_reconcile_errors_total"): f"0+1{HOUR}"},
        "60 reconciliations failed in a quarter of an hour: see the operator's log.",
    ),
    "LGSBackupFailed": Fires(
        {
            operator("lgs_operator_backup_ready"): f"0{HOUR}",
            operator("lgs_operator_backup_last_success_timestamp_seconds"): f"1{HOUR}",
            condition("BackupReady", "False", "BackupFailed"): f"1{HOUR}",
        },
        f"The last is 29m 59s old: BackupFailed. {SEE}",
    ),
    "LGSOperatorAway": Fires(
        {
            'lgs_operator_leading{job="lgs/operator",pod="a"}': f"0{HOUR}",
            'lgs_operator_leading{job="lgs/operator",pod="b"}': f"0{HOUR}",
        },
        "0 replicas hold the lead. Services go on, and are neither scaled nor repaired.",
        {"job": "lgs/operator"},
    ),
}


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All rules in one file."""
    return written(tmp_path_factory.mktemp("rules"), *ALERTS)


def written(folder: Path, *names: str) -> Path:
    """The rules of these alerts in one file, each as it stands among all. promtool evaluates a whole file, so
    a story of one alert that has the others' rules too takes five times as long and says the same."""
    together = [*groups("lgs-team-support", SERVICE_ALERTS), *groups("lgs-operator", OPERATOR_ALERTS)]
    chosen = [
        {**group, "rules": [each for each in group["rules"] if each["alert"] in names]} for group in together
    ]
    path = folder / "rules.yaml"
    path.write_text(yaml.safe_dump({"groups": [each for each in chosen if each["rules"]]}), "utf-8")
    return path


def story(
    series: Mapping[str, str], expected: Mapping[str, list[dict[str, Any]]], *moments: str
) -> dict[str, Any]:
    """What promtool plays: the series, and at each of the moments the alerts by name."""
    return {
        "interval": "15s",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": [
            {"eval_time": at, "alertname": name, "exp_alerts": alerts}
            for at in moments
            for name, alerts in expected.items()
        ],
    }


@prometheus.needed
def test_prometheus_own_tool_finds_nothing_wrong_with_the_rules(rules: Path) -> None:
    assert prometheus.check_rules(rules) == []
    assert prometheus.check_rules(RULES) == []


@prometheus.needed
@pytest.mark.parametrize("series", [NORMAL, NEITHER_READY_NOR_WRONG], ids=["normal", "odd"])
def test_nothing_fires_while_nothing_is_wrong(rules: Path, series: Mapping[str, str], tmp_path: Path) -> None:
    silent: Mapping[str, list[dict[str, Any]]] = {name: [] for name in ALERTS}
    # what is no series of the story is not away
    there = {'lgs_operator_leading{job="lgs/operator",pod="a"}': f"1{HOUR}"} | dict(series)
    moments = story(there, silent, "10m", "25m", "40m", "58m")

    assert prometheus.failures(rules, [moments], tmp_path) == ""


@prometheus.needed
@pytest.mark.parametrize("name", FIRING)
def test_an_alert_fires_and_says_what_is_wrong(name: str, tmp_path: Path) -> None:
    told, alert = FIRING[name], ALERTS[name]
    own = {"job": "lgs/operator"} if name == "LGSOperatorAway" else SERVICE
    labels = (OF_OPERATOR if alert in OPERATOR_ALERTS and own is SERVICE else own) | dict(told.labels)
    fired = {
        "exp_labels": labels | {"severity": alert.severity},
        "exp_annotations": {
            "summary": filled(alert.summary),
            "description": told.description,
            "runbook": f"{RUNBOOK}#{name.lower()}",
        },
    }

    rules = written(tmp_path, name)

    assert prometheus.failures(rules, [story(told.series, {name: [fired]}, "30m")], tmp_path) == ""


def filled(summary: str) -> str:
    return re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda found: (SERVICE | OF_OPERATOR)[found[1]], summary)


@prometheus.needed
def test_an_operator_that_nobody_can_read_is_away(tmp_path: Path) -> None:
    away = ALERTS["LGSOperatorAway"]
    fired = {
        "exp_labels": {"severity": "critical"},
        "exp_annotations": {
            "summary": away.summary,
            "description": FIRING["LGSOperatorAway"].description,
            "runbook": f"{RUNBOOK}#lgsoperatoraway",
        },
    }

    stories = [story({replica("up"): f"1{HOUR}"}, {"LGSOperatorAway": [fired]}, "10m")]

    assert prometheus.failures(written(tmp_path, "LGSOperatorAway"), stories, tmp_path) == ""


def test_every_alert_has_a_story_in_which_it_fires() -> None:
    assert set(FIRING) == set(ALERTS)


def test_an_alert_that_could_never_fire_is_not_made() -> None:
    names = {each.name for each in service_alerts(Replicas("team", "support"), spec())}

    assert set(ALERTS) - names - {each.name for each in OPERATOR_ALERTS} == {
        "LGSAvailabilityBudgetBurnsFast",
        "LGSAvailabilityBudgetBurnsSlowly",
        "LGSBudgetUsedUp",
        "LGSLatencyBudgetBurnsFast",
        "LGSLatencyBudgetBurnsSlowly",
        "LGSLatencyOverTarget",
        "LGSRedisAway",
    }


def test_runs_may_wait_as_long_as_the_manifest_lets_them() -> None:
    (waits,) = [each for each in SERVICE_ALERTS if each.name == "LGSQueueWaitsLong"]

    assert 'priority=~"high|normal"}) > 60' in waits.expression
    assert 'priority=~"low"}) > 1200' in waits.expression


@pytest.mark.parametrize("alert", ALERTS.values(), ids=ALERTS)
def test_an_alert_has_a_value_and_a_section_that_says_what_to_do(alert: Alert) -> None:
    (section,) = [each for each in PAGE.split("\n### ")[1:] if each.startswith(f"{alert.name}\n")]

    assert "$value" in alert.description or "query" in alert.description
    assert alert.severity in section
    assert "**What to do.**" in section


def test_the_page_has_no_alert_that_there_is_not() -> None:
    assert set(re.findall(r"^### (LGS\w+)$", PAGE, re.MULTILINE)) == set(ALERTS)


@pytest.mark.parametrize("path", contents(), ids=lambda path: path.name)
def test_the_chart_has_the_pack_of_the_operator_as_it_is_described(path: Path) -> None:
    assert path.read_text("utf-8") == contents()[path], "run: python -m lgs_operator.monitoring.generate"
