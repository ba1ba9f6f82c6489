"""The rules of a manifest for Prometheus: its own tool takes them, and they mean what the operator does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from lgs_crds import Spec
from lgs_crds.model.observability import Monitoring
from lgs_operator.alerting.definitions import own_alerts
from lgs_operator.alerting.measures import MEASURES, Seen
from lgs_operator.alerting.window import Window, advanced
from lgs_operator.desired.monitoring import prometheus_rule
from lgs_operator.monitoring.alerts import RUNBOOK, groups
from lgs_operator.monitoring.selecting import Replicas
from lgs_operator.scaling.exposition import parse
from support import prometheus
from support.alerts import observed, rule, spec
from support.desired import inputs_of, service

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "monitoring.md").read_text("utf-8")
REPLICAS = Replicas("team", "support")
OF_PODS = 'job="team/support",namespace="team",lgs_dev_service="support"'
STEP = 15
MINUTES = 20
FEW = {"a": 1.0, "b": 2.0}
"""Two replicas, of which one counts twice as much."""
COUNTED: Mapping[str, float] = {
    'lgs_runs_arrived_total{priority="normal"}': 10,
    'lgs_runs_arrived_total{priority="low"}': 5,
    'lgs_runs_rejected_total{priority="low"}': 2,
    'lgs_runs_finished_total{status="success"}': 9,
    'lgs_runs_finished_total{status="error"}': 2,
    'lgs_runs_finished_total{status="timeout"}': 1,
    'lgs_cache_operations_total{namespace="odd } name",result="hit"}': 7,
    'lgs_cache_operations_total{namespace="n",result="miss"}': 3,
    'lgs_cache_operations_total{namespace="n",result="set"}': 3,
    'lgs_model_tokens_total{graph="g",model="m",direction="input"}': 400,
    'lgs_model_tokens_total{graph="g",model="m",direction="output"}': 40,
    **{
        f'{name}_bucket{{{priority}le="{bound}"}}': count
        for name, priority in (
            ("lgs_run_latency_seconds", ""),
            ("lgs_run_wait_seconds", 'priority="normal",'),
        )
        for bound, count in (("1.0", 6), ("5.0", 9), ("10.0", 10), ("+Inf", 10))
    },
    "lgs_run_latency_seconds_count": 10,
    'lgs_run_wait_seconds_count{priority="normal"}': 10,
}
"""How much each counter of the first replica grows in a step."""
SHOWN: Mapping[str, Mapping[str, float]] = {
    'lgs_queue_depth{priority="normal"}': {"a": 7, "b": 6},
    'lgs_queue_depth{priority="low"}': {"a": 3, "b": 3},
    'lgs_queue_oldest_seconds{priority="normal"}': {"a": 4, "b": 3},
    'lgs_queue_oldest_seconds{priority="low"}': {"a": 90, "b": 90},
    "lgs_queue_blocked": {"a": 2, "b": 2},
    "lgs_slots": {"a": 10, "b": 20},
    "lgs_slots_in_use": {"a": 5, "b": 10},
    'lgs_circuit_state{circuit="agent",kind="graph",state="open"}': {"a": 1, "b": 1},
    'lgs_circuit_state{circuit="agent",kind="graph",state="closed"}': {"a": 0, "b": 0},
    'lgs_circuit_state{circuit="m",kind="code",state="open"}': {"a": 0, "b": 1},
    'lgs_circuit_state{circuit="m",kind="code",state="half-open"}': {"a": 1, "b": 0},
}


def page(pod: str, step: int) -> str:
    """What a replica answers after so many steps."""
    counted = {name: 1000 + each * FEW[pod] * step for name, each in COUNTED.items()}
    shown = {name: each[pod] for name, each in SHOWN.items()}
    lines = [f"{name} {float(value)}" for name, value in (counted | shown).items()]
    return "\n".join([*lines, "process_start_time_seconds 1.0", ""])


def series() -> dict[str, str]:
    """The same as Prometheus has it."""
    steps = MINUTES * 60 // STEP
    found = {}
    for pod, times in FEW.items():
        for name, each in COUNTED.items():
            found[labelled(name, pod)] = f"1000+{each * times:g}x{steps}"
        for name, shown in SHOWN.items():
            found[labelled(name, pod)] = f"{shown[pod]}x{steps}"
    return found


def labelled(name: str, pod: str) -> str:
    metric, _, labels = name.rstrip("}").partition("{")
    # Prometheus puts aside what a page calls as it calls what it reads the page of
    more = f",{labels.replace('namespace=', 'exported_namespace=')}" if labels else ""
    return f'{metric}{{{OF_PODS},pod="{pod}"{more}}}'


def measured(metric: str) -> float:
    """What the operator makes of it, asking as often as Prometheus does."""
    window, seen = Window(), None
    for step in range(MINUTES * 60 // STEP + 1):
        at = 1000.0 + step * STEP
        observation = observed(at, *(parse(page(pod, step), pod, at) for pod in FEW))
        window = advanced(window, observation)
        seen = Seen(observation, window)
    assert seen is not None
    found = MEASURES[metric].read(seen)  # type: ignore[index]
    assert found is not None
    return found


def written(made: Spec, folder: Path) -> Path:
    path = folder / "rules.yaml"
    path.write_text(yaml.safe_dump({"groups": groups("own", own_alerts(REPLICAS, made))}), "utf-8")
    return path


def firing(made: Spec, name: str, value: str) -> dict[str, Any]:
    """What promtool must see of a rule that fires."""
    (alert,) = [each for each in own_alerts(REPLICAS, made) if each.name == name]
    summary = alert.summary.replace("{{ $labels.namespace }}", "team")
    return {
        "exp_labels": {"namespace": "team", "lgs_dev_service": "support", "severity": alert.severity},
        "exp_annotations": {
            "summary": summary.replace("{{ $labels.lgs_dev_service }}", "support"),
            "description": alert.description.replace("{{ $value }}", value),
            "runbook": f"{RUNBOOK}#alerts-in-the-manifest",
        },
    }


def story(given: Mapping[str, str], expected: Mapping[str, list[dict[str, Any]]]) -> dict[str, Any]:
    tests = [
        {"eval_time": "19m", "alertname": name, "exp_alerts": alerts} for name, alerts in expected.items()
    ]
    return {
        "interval": f"{STEP}s",
        "input_series": [{"series": name, "values": values} for name, values in given.items()],
        "alert_rule_test": tests,
    }


@prometheus.needed
@pytest.mark.parametrize("metric", MEASURES)
def test_a_rule_means_to_prometheus_what_it_means_to_the_operator(metric: str, tmp_path: Path) -> None:
    """What the one measures is, within one part in a hundred, what the other does."""
    value = measured(metric)
    made = spec({"rules": [rule(metric, "gt", value * 0.99)]})
    rules = written(made, tmp_path)
    query = MEASURES[metric].query(REPLICAS)  # type: ignore[index]
    bounds = {f"({query}) > bool {value * 0.99}": 1, f"({query}) > bool {value * 1.01}": 0}

    asked = story(series(), {})
    asked["promql_expr_test"] = [
        {
            "expr": expression,
            "eval_time": "19m",
            "exp_samples": [{"labels": '{namespace="team",lgs_dev_service="support"}', "value": is_so}],
        }
        for expression, is_so in bounds.items()
    ]

    assert prometheus.check_rules(rules) == []
    assert prometheus.failures(rules, [asked], tmp_path) == ""


@prometheus.needed
def test_what_fires_says_the_rule_and_the_value(tmp_path: Path) -> None:
    made = spec({"rules": [rule("queueDepth", "gt", 5, severity="info", **{"for": "5m"})]})

    fired = {"Watched": [firing(made, "Watched", "10")]}
    said = prometheus.failures(written(made, tmp_path), [story(series(), fired)], tmp_path)

    assert said == ""
    (alert,) = own_alerts(REPLICAS, made)
    assert alert.summary.startswith("Watched: queueDepth of ") and alert.summary.endswith(" is above 5")


@prometheus.needed
@pytest.mark.parametrize("operator", ["gt", "lt", "eq", "ne"])
def test_what_there_is_no_data_of_fires_nothing(operator: str, tmp_path: Path) -> None:
    """Nor do counters that stand still, of which there is no share and no percentile."""
    made = spec({"rules": [rule(metric, operator, 0.5, name=metric) for metric in MEASURES]})
    shares = [each for each in MEASURES if each.endswith("Rate") or each.startswith("p9")]
    still = {labelled(name, "a"): f"1000x{MINUTES * 4}" for name in COUNTED}
    nothing = {"up": f"1x{MINUTES * 4}"}

    stories = [
        story(nothing, {name: [] for name in MEASURES}),
        story(still, {name: [] for name in shares}),
    ]

    assert prometheus.failures(written(made, tmp_path), stories, tmp_path) == ""


def test_the_rules_of_the_manifest_stand_beside_the_operators_in_one_object() -> None:
    observability = {"alerts": {"defaults": True, "rules": [rule()]}}
    inputs = replace(inputs_of(), service=service(observability=observability))

    made = prometheus_rule(inputs, Monitoring(), REPLICAS)

    first, own = made["spec"]["groups"]
    names = [each["alert"] for each in first["rules"]]
    assert names.count("LGSRunsFail") == 1, "the defaults are there once"
    assert [each["alert"] for each in own["rules"]] == ["Watched"]
    assert (own["rules"][0]["for"], own["rules"][0]["labels"]) == ("0s", {"severity": "warning"})


def test_the_page_has_a_line_for_each_metric_and_for_no_other() -> None:
    section = PAGE.split("## Alerts in the manifest")[1].split("\n## ")[0]
    rows = [line.split("`")[1] for line in section.splitlines() if line.startswith("| `")]

    assert [each for each in rows if each in MEASURES] == sorted(MEASURES)
