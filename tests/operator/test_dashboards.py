"""The dashboards: each is what Grafana reads, and they and the alerts ask only for metrics that there are."""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from lgs_crds import Spec
from lgs_operator.monitoring.grafana import WIDTH, dashboard_json
from lgs_operator.monitoring.operator_alerts import OPERATOR_ALERTS
from lgs_operator.monitoring.operator_board import OPERATOR_BOARD
from lgs_operator.monitoring.panels import Board
from lgs_operator.monitoring.selecting import Replicas
from lgs_operator.monitoring.service_alerts import service_alerts
from lgs_operator.monitoring.service_board import service_board
from support.declared_metrics import METRICS, shown

SUPPORT = Replicas("team", "support")
BOARDS = [pytest.param(each, id=each.uid) for each in (service_board(SUPPORT), OPERATOR_BOARD)]
EXPRESSIONS = [
    *(query.expression for each in BOARDS for panel in each.values[0].panels for query in panel.queries),  # type: ignore[attr-defined]
    *(alert.expression for alert in (*OPERATOR_ALERTS, *service_alerts(SUPPORT, Spec()))),
]
LABELS = {"lgs_dev_service"}


def written(board: Board) -> dict[str, Any]:
    model: dict[str, Any] = json.loads(dashboard_json(board))
    return model


@pytest.mark.parametrize("board", BOARDS)
def test_each_panel_has_its_place_its_source_and_its_queries(board: Board) -> None:
    panels = written(board)["panels"]

    assert [each["id"] for each in panels] == list(range(1, len(panels) + 1))
    assert {each["type"] for each in panels} == {"row", "timeseries"}
    for panel in panels:
        if panel["type"] == "row":
            assert panel["panels"] == [] and not panel["collapsed"], "its panels stand beside it"
            continue
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert (
            panel["title"] and panel["description"].endswith(".") and panel["fieldConfig"]["defaults"]["unit"]
        )
        refs = [each["refId"] for each in panel["targets"]]
        assert refs == sorted(set(refs)) and refs
        assert all(each["expr"] and each["legendFormat"] for each in panel["targets"])


@pytest.mark.parametrize("board", BOARDS)
def test_grafanas_own_types_read_every_field_of_it(board: Board) -> None:
    register_default_plugins()
    model = written(board)

    read = json.loads(json.dumps(Dashboard.from_json(model), cls=JSONEncoder))

    assert covers(read, model)


def covers(read: Any, model: Any) -> bool:
    """What was read has all that was written; it has defaults beside that."""
    if isinstance(model, dict):
        return all(name in read and covers(read[name], value) for name, value in model.items())
    if isinstance(model, list):
        return len(read) == len(model) and all(map(covers, read, model))
    return bool(read == model)


@pytest.mark.parametrize("board", BOARDS)
def test_no_panel_lies_on_another_or_leaves_the_page(board: Board) -> None:
    places = [each["gridPos"] for each in written(board)["panels"]]

    taken = [
        (x, y)
        for place in places
        for x, y in itertools.product(
            range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
        )
    ]

    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) < WIDTH


@pytest.mark.parametrize("board", BOARDS)
def test_a_dashboard_is_of_no_one_grafana(board: Board) -> None:
    model = written(board)

    assert "id" not in model, "Grafana gives it one"
    assert re.fullmatch(r"[a-z0-9-]{1,40}", model["uid"])
    assert [each["type"] for each in model["templating"]["list"]] == ["datasource"]
    assert model["schemaVersion"] >= 36 and model["title"] and model["tags"] == ["langgraphservice"]


def test_two_services_have_two_dashboards() -> None:
    others = (Replicas("team", "sales"), Replicas("other", "support"), Replicas("teams", "upport"))

    assert len({service_board(each).uid for each in (SUPPORT, *others)}) == 4


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_what_is_asked_for_there_is(expression: str) -> None:
    there = {series for name in METRICS for series in shown(name)}

    named = set(re.findall(r"\blgs_\w+", expression)) - LABELS

    assert named <= there
    assert named or re.search(r"\b(up|process_\w+)\{", expression)


def test_replicas_that_two_jobs_read_are_counted_once_unless_only_another_one_reads_them() -> None:
    ours, theirs = SUPPORT("lgs_slots"), Replicas("team", "support", scraped_here=False)("lgs_slots")

    assert ours == 'lgs_slots{job="team/support",namespace="team",lgs_dev_service="support"}'
    assert theirs == 'lgs_slots{namespace="team",lgs_dev_service="support"}'
