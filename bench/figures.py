"""Figures of rounds, as tables and a picture. Pure.

A round measures every candidate once. Ratios are taken within a round, so that whatever else the machine was
doing falls on both sides; what is shown is the median over the rounds, with the least and the most.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle
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


@dataclass(frozen=True, slots=True)
class Outcome:
    """One measurement over HTTP. `latency`: milliseconds by percentile; `cpu`: milliseconds for each run, by
    who used them; both empty where there is nothing to say."""

    rate: float
    runs: int = 0
    latency: Mapping[str, float] = field(default_factory=dict)
    cpu: Mapping[str, float] = field(default_factory=dict)
    errors: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        seconds: float,
        answers: Sequence[float],
        errors: Mapping[str, int],
        cpu: Mapping[str, float],
    ) -> Outcome:
        """Of what a generator saw; see `bench.generator.Seen`."""
        runs = len(answers)
        return cls(
            rate=runs / seconds,
            runs=runs,
            latency={f"p{share}": 1000 * percentile(answers, share) for share in SHARES if runs},
            cpu={name: 1000 * used / runs for name, used in cpu.items() if runs},
            errors=errors,
        )

    def text(self) -> str:
        """One line."""
        latency = ", ".join(f"{name} {value:.1f}" for name, value in self.latency.items())
        cpu = ", ".join(f"{name} {value:.2f}" for name, value in self.cpu.items())
        wrong = "; ".join(f"{count} times {what}" for what, count in self.errors.items())
        return (
            f"{self.rate:.0f}/s; ms: {latency or '-'}; CPU ms a run: {cpu or '-'}; errors: {wrong or 'none'}"
        )


SHARES = (50, 95, 99)


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` per cent of `values` don't exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share / 100 * len(ordered)) - 1)]


USERS = ("server", "database", "generator")


def http_table(
    rows: Sequence[tuple[tuple[str, str, int], Sequence[Outcome]]], floor: Sequence[Outcome] | None
) -> str:
    """A Markdown table: what each row is (target, load, clients), its medians, its rate by `floor`'s."""
    latencies = [f"p{share} ms" for share in SHARES]
    used = [f"CPU ms a run: {name}" for name in USERS]
    head = ["service", "load", "clients", "a second", *latencies, *used, "errors", "× in process"]
    lines = [head, ["---"] * len(head)]
    for (target, load, clients), outcomes in rows:
        rates = [outcome.rate for outcome in outcomes]
        lines.append(
            [
                target,
                load,
                str(clients),
                f"**{Spread.of(rates).text()}**",
                *(_medians([each.latency.get(f"p{share}") for each in outcomes], 1) for share in SHARES),
                *(_medians([each.cpu.get(name) for each in outcomes], 2) for name in USERS),
                str(sum(sum(outcome.errors.values()) for outcome in outcomes)),
                ratios(rates, [each.rate for each in floor]).text(2) if floor else "",
            ]
        )
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _medians(values: Sequence[float | None], digits: int) -> str:
    known = [value for value in values if value is not None]
    return f"{median(known):.{digits}f}" if known else ""


WIDTH, BAR, LEFT = 720, 18, 330
COLOURS = ("#9aa5b1", "#c3cad2", "#e8a33d", "#2f7ed8")


def picture(cases: Sequence[Case]) -> str:
    """An SVG of bars: the median rate of each candidate in each case."""
    return bars(
        {
            f"{case.durability}, {case.concurrency} at once": {
                name: Spread.of(rates).median for name, rates in case.rates.items()
            }
            for case in cases
        }
    )


def bars(groups: Mapping[str, Mapping[str, float]]) -> str:
    """An SVG of groups of bars: values by their names."""
    longest = max(value for group in groups.values() for value in group.values())
    parts, y = [], 12
    for title, group in groups.items():
        parts.append(label(8, y + BAR - 4, title, "bold"))
        for colour, (name, value) in zip(cycle(COLOURS), group.items(), strict=False):
            width = value / longest * (WIDTH - LEFT - 70)
            parts.append(label(LEFT - 100, y + BAR - 4, name))
            parts.append(f'<rect x="{LEFT}" y="{y}" width="{width:.1f}" height="{BAR - 4}" fill="{colour}"/>')
            parts.append(label(LEFT + width + 6, y + BAR - 4, f"{value:.0f}"))
            y += BAR
        y += BAR // 2
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" '
        f'font-family="sans-serif" font-size="12">\n<rect width="100%" height="100%" fill="white"/>\n'
        f"{body}\n</svg>\n"
    )


def label(x: float, y: float, text: str, weight: str = "normal") -> str:
    """A text in a picture."""
    return f'<text x="{x:.1f}" y="{y}" font-weight="{weight}" fill="#222">{text}</text>'
