"""What a manifest has made for who watches the service: of which kinds, and which series they look at."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lgs_crds.model.observability import Monitoring
from lgs_crds.status import Status
from lgs_operator.desired.monitoring import kinds_of, watching
from lgs_operator.kube.kinds import CONFIG_MAP, POD_MONITOR, PROMETHEUS_RULE
from lgs_operator.status.diagnosis import Diagnosis
from lgs_operator.status.monitoring import MonitoringView, monitoring_ready
from support.desired import inputs_of

ALL = (POD_MONITOR, PROMETHEUS_RULE, CONFIG_MAP)


def made(**monitoring: Any) -> dict[str, Any]:
    asked = Monitoring.model_validate(monitoring)
    return {each["kind"]: each for each in watching(inputs_of(), asked, kinds_of(asked))}


def test_all_of_it_is_wanted_unless_the_manifest_says_less() -> None:
    assert kinds_of(Monitoring()) == ALL
    assert kinds_of(Monitoring(dashboard=False)) == (POD_MONITOR, PROMETHEUS_RULE)
    assert kinds_of(Monitoring(enabled=False)) == ()


def test_prometheus_reads_the_replicas_and_nothing_else_of_the_service() -> None:
    spec = made(intervalSeconds=5)["PodMonitor"]["spec"]

    (components,) = spec["selector"]["matchExpressions"]
    assert spec["selector"]["matchLabels"] == {"lgs.dev/service": "support"}
    assert components["values"] == ["runtime", "api"]
    assert "lgs.dev/service" in spec["podTargetLabels"], "by which the queries select"
    assert spec["podMetricsEndpoints"] == [{"port": "http", "path": "/metrics", "interval": "5s"}]


@pytest.mark.parametrize("is_ours", [True, False])
def test_alerts_and_dashboard_look_at_what_the_pod_monitor_brings_or_at_what_others_do(is_ours: bool) -> None:
    wanted = made(podMonitor=is_ours)

    (group,) = wanted["PrometheusRule"]["spec"]["groups"]
    (model,) = wanted["ConfigMap"]["data"].values()
    panels = [each for each in json.loads(model)["panels"] if each["type"] != "row"]
    asked = [rule["expr"] for rule in group["rules"]]
    asked += [target["expr"] for each in panels for target in each["targets"]]
    of_replicas = [each for each in asked if "lgs_dev_service=" in each]
    assert len(of_replicas) > 30
    assert {'job="team/support"' in each for each in of_replicas} == {is_ours}


def told(view: MonitoringView | None, before: Status | None = None) -> list[tuple[str, str]]:
    found = monitoring_ready(view, before or Status())
    return [(each.status, each.reason) for each in found]


def test_what_watches_a_service_has_a_condition_while_something_is_wanted() -> None:
    (stated,) = monitoring_ready(MonitoringView(("PodMonitor",)), Status())
    lacking = Diagnosis("KindNotFound", "no PodMonitor")

    assert told(MonitoringView(("PodMonitor",))) == [("True", "Monitored")]
    assert told(MonitoringView(("ConfigMap",), lacking)) == [("False", "KindNotFound")]
    assert told(MonitoringView()) == []
    assert told(None, Status(conditions=[stated])) == [("True", "Monitored")], "as it was told last"


def test_labels_of_the_manifest_are_added_and_take_none_of_ours_away() -> None:
    given = {"release": "prometheus", "lgs.dev/service": "other", "grafana_dashboard": "team"}

    for each in made(labels=given).values():
        labels = each["metadata"]["labels"]
        assert (labels["release"], labels["lgs.dev/service"]) == ("prometheus", "support")
        assert labels["grafana_dashboard"] == "team"
