"""Figures of rounds, as tables and a picture. Pure.

A round measures every candidate once. Ratios are taken within a round, so that whatever else the machine was
doing falls on both sides; what is shown is the median over the rounds, with the least and the most.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Spread:
    """Median, least and most of several values."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of one value or more."""
        return cls(median(values), min(values), max(values))

    def text(self, digits: int = 0) -> str:
        """`12 (9–14)`."""
        return f"{self.median:.{digits}f} ({self.least:.{digits}f}–{self.most:.{digits}f})"


def ratios(over: Sequence[float], under: Sequence[float]) -> Spread:
    """Of two candidates, round by round."""
    return Spread.of([a / b for a, b in zip(over, under, strict=True)])


@dataclass(frozen=True, slots=True)
class Case:
    """One load, and the runs per second of each candidate, round by round."""

    durability: str
    concurrency: int
    rates: Mapping[str, Sequence[float]]


def table(cases: Sequence[Case], subject: str, baseline: str) -> str:
    """A Markdown table: the rates of all candidates, and `subject` as a multiple of `baseline`."""
    names = list(cases[0].rates)
    head = ["durability", "at once", *(f"{name}, runs/s" for name in names), f"{subject} / {baseline}"]
    lines = [head, ["---"] * len(head)]
    for case in cases:
        rates = [Spread.of(case.rates[name]).text() for name in names]
        ratio = ratios(case.rates[subject], case.rates[baseline])
        lines.append([case.durability, str(case.concurrency), *rates, f"**{ratio.text(1)}**"])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


WIDTH, BAR, LEFT = 640, 18, 250
COLOURS = ("#9aa5b1", "#c3cad2", "#e8a33d", "#2f7ed8")


def picture(cases: Sequence[Case]) -> str:
    """An SVG of bars: the median rate of each candidate in each case."""
    longest = max(Spread.of(rates).median for case in cases for rates in case.rates.values())
    parts, y = [], 12
    for case in cases:
        parts.append(_text(8, y + BAR, f"{case.durability}, {case.concurrency} at once", "bold"))
        for colour, (name, rates) in zip(COLOURS, case.rates.items(), strict=False):
            rate = Spread.of(rates).median
            width = rate / longest * (WIDTH - LEFT - 70)
            parts.append(_text(LEFT - 100, y + BAR - 4, name))
            parts.append(f'<rect x="{LEFT}" y="{y}" width="{width:.1f}" height="{BAR - 4}" fill="{colour}"/>')
            parts.append(_text(LEFT + width + 6, y + BAR - 4, f"{rate:.0f}"))
            y += BAR
        y += BAR // 2
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" '
        f'font-family="sans-serif" font-size="12">\n<rect width="100%" height="100%" fill="white"/>\n'
        f"{body}\n</svg>\n"
    )


def _text(x: float, y: float, text: str, weight: str = "normal") -> str:
    return f'<text x="{x:.1f}" y="{y}" font-weight="{weight}" fill="#222">{text}</text>'
