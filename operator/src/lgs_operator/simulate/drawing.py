"""Draws a comparison as SVG: arrivals and each law's ready replicas on one time axis, and the front.

Pure; coordinates in the units of the picture, times in seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from lgs_operator.simulate.comparison import Outcome
from lgs_operator.simulate.front import LATE_SECONDS, Point
from lgs_operator.simulate.loads import Load

WIDTH, LEFT, RIGHT, ROW, GAP, HEAD = 860, 250, 20, 56, 14, 34
COLUMNS = 300
FRONT_HEIGHT = 360
INK, GREY, PAPER = "#222", "#9aa3ad", "#fff"
COLOURS = {
    "ours": "#1b6ac9",
    "HPA": "#c9501b",
    "KEDA": "#8a5bb5",
    "queue": "#c2a01d",
    "platform": "#3f8f6b",
    "KPA": "#c22f6b",
    "fixed": "#6b7480",
}


def timeline(load: Load, outcomes: Sequence[Outcome]) -> str:
    """A picture of the arrivals, and below them a row for each law; all laws have the same scale."""
    columns, width = spans(load, COLUMNS)
    rates = arrivals(load, columns, width)
    ready = [most_ready(each, columns, width) for each in outcomes]
    most = max((value for line in ready for value in line), default=0.0)
    parts = [_text(10, 20, load.title, weight="bold")]
    y = HEAD
    parts += [_area(rates, max(rates), y, GREY), _text(10, y + 20, f"runs/s, up to {max(rates):.1f}")]
    for each, line in zip(outcomes, ready, strict=True):
        y += ROW + GAP
        parts += [
            _area(line, most, y, COLOURS[each.law]),
            _text(10, y + 20, f"{name(each)}: up to {max(line):.0f} replicas", weight="bold"),
            _text(
                10, y + 38, f"{100 * each.late(LATE_SECONDS):.1f} % wait > 5 s, {each.replica_hours:.1f} h"
            ),
        ]
    return _svg(y + ROW + 10, parts)


def front(points: Sequence[Point]) -> str:
    """A picture of late runs against replica-hours, a line for each law; full circles are on
    the common front."""
    top, bottom = 30, FRONT_HEIGHT - 40
    hours = [each.hours for each in points]
    least, most = min(hours), max(*hours, min(hours) + 1e-9)
    highest = max(1e-3, *(each.late for each in points))

    def place(point: Point) -> tuple[float, float]:
        across = (point.hours - least) / (most - least)
        # The square root: most points are near zero, where it matters.
        up = (point.late / highest) ** 0.5
        return 60 + across * (WIDTH - 230), bottom - up * (bottom - top)

    parts = [_text(10, 18, f"share of the runs that wait > {LATE_SECONDS:g} s, against replica-hours")]
    for share in (0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0):
        if share <= highest:
            y = bottom - (share / highest) ** 0.5 * (bottom - top)
            parts.append(f'<line x1="60" y1="{y:.1f}" x2="{WIDTH - 170}" y2="{y:.1f}" stroke="#e3e6ea"/>')
            parts.append(_text(14, y + 4, f"{100 * share:.0f} %"))
    parts += [
        _text(60, FRONT_HEIGHT - 12, f"{least:.1f} h"),
        _text(WIDTH - 210, FRONT_HEIGHT - 12, f"{most:.1f} h"),
    ]
    laws = list(dict.fromkeys(each.outcome.law for each in points))
    for row, law in enumerate(laws):
        own = sorted((each for each in points if each.outcome.law == law), key=lambda each: each.hours)
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(place, own))
        parts.append(f'<polyline points="{line}" fill="none" stroke="{COLOURS[law]}" stroke-opacity="0.5"/>')
        for point in own:
            x, y = place(point)
            fill = COLOURS[law] if point.is_on_front else PAPER
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{fill}" stroke="{COLOURS[law]}"/>')
        parts.append(f'<circle cx="{WIDTH - 150}" cy="{40 + 20 * row}" r="5" fill="{COLOURS[law]}"/>')
        parts.append(_text(WIDTH - 138, 44 + 20 * row, law))
    return _svg(FRONT_HEIGHT, parts)


def name(outcome: Outcome) -> str:
    """The name of the law, with its number if that is constant."""
    return f"{outcome.law} {outcome.target:g}" if outcome.law == "fixed" else outcome.law


def spans(load: Load, most: int) -> tuple[int, float]:
    """The number of columns of equal time, at most `most`, and their width in seconds, at least 1."""
    columns = max(1, min(most, int(load.seconds)))
    return columns, load.seconds / columns


def arrivals(load: Load, columns: int, width: float) -> list[float]:
    """Runs a second in each column."""
    rates = [0.0] * columns
    for job in load.jobs:
        rates[min(columns - 1, int(job.at / width))] += 1 / width
    return rates


def most_ready(outcome: Outcome, columns: int, width: float) -> list[float]:
    """The most ready replicas in each column. Columns between two rounds take the value of the later one."""
    found = [0.0] * columns
    last, until = 0, 0.0
    for at, ready in zip(outcome.timeline.at, outcome.timeline.ready, strict=True):
        column = min(columns - 1, int(at / width))
        for between in range(last, column + 1):
            found[between] = max(found[between], ready)
        last, until = column, ready
    return [*found[: last + 1], *[until] * (columns - last - 1)]


def _area(values: Sequence[float], largest: float, y: int, colour: str) -> str:
    step = (WIDTH - LEFT - RIGHT) / len(values)
    heights = [y + ROW - (ROW * value / largest if largest > 0 else 0) for value in values]
    line = " ".join(
        f"{LEFT + n * step:.1f},{h:.1f} {LEFT + (n + 1) * step:.1f},{h:.1f}" for n, h in enumerate(heights)
    )
    ends = f"{WIDTH - RIGHT},{y + ROW} {LEFT},{y + ROW}"
    return f'<polygon points="{line} {ends}" fill="{colour}" fill-opacity="0.75"/>'


def _text(x: float, y: float, text: str, weight: str = "normal") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-weight="{weight}" fill="{INK}">{escape(text)}</text>'


def _svg(height: int, parts: Sequence[str]) -> str:
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'font-family="sans-serif" font-size="12">\n<rect width="100%" height="100%" fill="{PAPER}"/>\n'
        f"{body}\n</svg>\n"
    )
