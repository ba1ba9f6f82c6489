"""A picture of a play's course: turns a second, replicas that were ready, and the p95 of what the service
added, over time, under the names of the phases. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from bench.centre.account import Account
from bench.figures import WIDTH, label, percentile

WINDOW_SECONDS: Final = 5.0
LEFT, RIGHT, TOP, STRIP, GAP = 16, 16, 34, 70, 34
TINTS: Final = ("#f3f5f7", "#ffffff")
LINES: Final = ("#2f7ed8", "#e8a33d", "#b3392f")
Point = tuple[float, float]


def course(account: Account) -> str:
    """The picture as SVG."""
    scale = (WIDTH - LEFT - RIGHT) / account.seconds
    strips = {
        "turns a second": windows(account, count=True),
        "replicas ready": [(sample.at, float(sample.ready)) for sample in account.samples],
        "p95 of what the service adds, s": windows(account, count=False),
    }
    height = TOP + len(strips) * (STRIP + GAP)
    parts = _bands(account, scale, height)
    for number, (name, points) in enumerate(strips.items()):
        base = TOP + number * (STRIP + GAP) + GAP / 2 + STRIP
        parts += _strip(
            name, [point for point in points if point[0] <= account.seconds], scale, base, LINES[number]
        )
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'font-family="sans-serif" font-size="11">\n<rect width="100%" height="100%" fill="white"/>\n'
        f"{body}\n</svg>\n"
    )


def windows(account: Account, *, count: bool) -> list[Point]:
    """In the middle of each window: turns a second that were asked, or the p95 of what was added to them."""
    found: dict[int, list[float]] = defaultdict(list)
    for turn in account.turns if count else account.right:
        found[int(turn.at // WINDOW_SECONDS)].append(turn.added or 0.0)
    return [
        (
            (number + 0.5) * WINDOW_SECONDS,
            len(found[number]) / WINDOW_SECONDS if count else percentile(found[number], 95),
        )
        for number in sorted(found)
    ]


def _bands(account: Account, scale: float, height: float) -> list[str]:
    parts: list[str] = []
    for number, phase in enumerate(account.plan):
        x, width = LEFT + phase.begins * scale, (phase.ends - phase.begins) * scale
        parts.append(
            f'<rect x="{x:.1f}" y="0" width="{width:.1f}" height="{height}" fill="{TINTS[number % 2]}"/>'
        )
        parts.append(label(x + 3, 14, phase.name))
        parts.append(label(x + 3, 27, f"{phase.begins:.0f} s"))
    return parts


def _strip(name: str, points: Sequence[Point], scale: float, base: float, colour: str) -> list[str]:
    most = max((value for _, value in points), default=0.0)
    high = most or 1.0
    line = " ".join(f"{LEFT + at * scale:.1f},{base - value / high * STRIP:.1f}" for at, value in points)
    return [
        label(LEFT + 3, int(base - STRIP - 6), f"{name}: {most:.1f} at most", "bold"),
        f'<line x1="{LEFT}" y1="{base}" x2="{WIDTH - RIGHT}" y2="{base}" stroke="#c3cad2"/>',
        f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>',
    ]
