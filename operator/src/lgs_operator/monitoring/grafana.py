"""A dashboard in Grafana's JSON model. Pure.

The data source is a variable, so that the dashboard works in any Grafana; fields with suitable defaults are
left out (https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/).
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any, Final

from lgs_operator.monitoring.panels import Board, Panel, Query, Row

SCHEMA_VERSION: Final = 39
"""The schema version of Grafana 10; later ones migrate it to their own."""
WIDTH: Final = 24
HEIGHT: Final = 8
SIDE_BY_SIDE: Final = 3
SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}


def dashboard_json(board: Board, *, indent: int | None = None) -> str:
    """The dashboard as a file for Grafana, identical for the same board. Without `indent` it is one line,
    which takes a fifth of the time."""
    return json.dumps(dashboard(board), indent=indent, sort_keys=True, ensure_ascii=False) + "\n"


def dashboard(board: Board) -> dict[str, Any]:
    """The dashboard in Grafana's model."""
    return {
        "uid": board.uid,
        "title": board.title,
        "description": board.text,
        "tags": list(board.tags),
        "schemaVersion": SCHEMA_VERSION,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "annotations": {"list": []},
        "links": [],
        "templating": {"list": [_source_variable()]},
        "panels": list(_panels(board)),
    }


def _source_variable() -> dict[str, Any]:
    return {
        "type": "datasource",
        "name": "datasource",
        "label": "Prometheus",
        "query": "prometheus",
        "regex": "",
        "hide": 0,
        "multi": False,
        "includeAll": False,
        "refresh": 1,
        "options": [],
        "current": {},
    }


def _panels(board: Board) -> Iterator[dict[str, Any]]:
    ids, top = itertools.count(1), 0
    for row in board.rows:
        yield _row(row, next(ids), top)
        top += 1
        for first in range(0, len(row.panels), SIDE_BY_SIDE):
            line = row.panels[first : first + SIDE_BY_SIDE]
            width = WIDTH // len(line)
            for number, panel in enumerate(line):
                yield _panel(panel, next(ids), _place(number * width, top, width, HEIGHT))
            top += HEIGHT


def _place(left: int, top: int, width: int, height: int) -> dict[str, int]:
    return {"x": left, "y": top, "w": width, "h": height}


def _row(row: Row, number: int, top: int) -> dict[str, Any]:
    place = _place(0, top, WIDTH, 1)
    return {
        "type": "row",
        "id": number,
        "title": row.title,
        "gridPos": place,
        "collapsed": False,
        "panels": [],
    }


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    return {
        "type": "timeseries",
        "id": number,
        "title": panel.title,
        "description": panel.text,
        "gridPos": place,
        "datasource": SOURCE,
        "targets": [_target(query, letter) for query, letter in zip(panel.queries, "ABCDEFGH", strict=False)],
        "fieldConfig": {"defaults": _look(panel), "overrides": []},
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
    }


def _look(panel: Panel) -> dict[str, Any]:
    stacking = {"group": "A", "mode": "normal" if panel.is_stacked else "none"}
    return {
        "unit": panel.unit,
        "min": 0,
        "custom": {
            "drawStyle": "line",
            "lineWidth": 1,
            "fillOpacity": 30 if panel.is_stacked else 5,
            "showPoints": "never",
            "stacking": stacking,
        },
    }


def _target(query: Query, letter: str) -> dict[str, Any]:
    return {
        "refId": letter,
        "datasource": SOURCE,
        "expr": query.expression,
        "legendFormat": query.legend,
        "editorMode": "code",
        "range": True,
    }
