"""The description of a dashboard: rows of panels, each with its queries. Pure; `grafana.py` writes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Unit = Literal["short", "s", "percentunit", "bytes", "reqps", "cps", "none"]
"""Grafana's ids of units: counts, seconds, a share of 1, bytes, requests a second, counts a
second, and none."""


@dataclass(frozen=True)
class Query:
    """An expression in PromQL, and the name of its series, in which `{{label}}` stands
    for a label's value."""

    expression: str
    legend: str


@dataclass(frozen=True)
class Panel:
    """A panel with lines over time. `text` says what they mean."""

    title: str
    text: str
    queries: tuple[Query, ...]
    unit: Unit = "short"
    is_stacked: bool = False


@dataclass(frozen=True)
class Row:
    """Panels under one title, side by side."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Board:
    """A dashboard. `uid` is its id in Grafana, at most 40 characters."""

    uid: str
    title: str
    text: str
    tags: tuple[str, ...]
    rows: tuple[Row, ...]

    @property
    def panels(self) -> tuple[Panel, ...]:
        """All panels, from the top."""
        return tuple(panel for row in self.rows for panel in row.panels)
