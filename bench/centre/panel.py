"""The panel of the centre: each number as it was measured, its target, and whether it was held. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from bench.centre.account import (
    Account,
    Target,
    added_replicas,
    busiest,
    cores_used,
    most_memory,
    rate,
    spread,
    targets,
)
from bench.centre.phases import within

NOTHING: Final = "not measured"
Row = tuple[str, str, Target | None]
SHORT: Final = (
    "customers online",
    "requests a second",
    "the service adds",
    "success",
    "errors",
    "sessions recovered",
    "cache hit rate",
    "replicas",
)
"""The rows of the short form, by how they begin."""


def panel(account: Account) -> str:
    """The whole panel as Markdown: the numbers, those of each phase, then what the service did by itself."""
    return f"{table(rows(account))}\n\n{by_phase(account)}\n\n{log(account)}"


def short(account: Account) -> str:
    """The first numbers alone, and the log."""
    return f"{table([row for row in rows(account) if row[0].startswith(SHORT)])}\n\n{log(account)}"


def missed(account: Account) -> list[Target]:
    """Targets that were not held."""
    return [target for target in targets(account) if not target.held]


def rows(account: Account) -> list[Row]:
    """Each number with its name and its target."""
    aims = {target.name: target for target in targets(account)}
    right = account.right
    without = sum(turn.fallback for turn in right)
    firsts = [turn.first for turn in right if turn.first is not None]
    return [
        ("customers online", f"{account.most_online} at most, of {account.customers}", None),
        (
            "requests a second",
            f"{rate(account):.1f} over {account.seconds:.0f} s, {busiest(account):.1f} in the busiest 10 s",
            None,
        ),
        ("the service adds, s", _seconds(account.added), aims["the service adds"]),
        ("the whole answer, s", _seconds([turn.total for turn in right]), None),
        ("until the first words, s", _seconds(firsts), None),
        ("success", _share(len(right), len(account.turns)), aims["success"]),
        ("errors", _share(len(account.wrong), len(account.turns)), aims["errors"]),
        (
            "answered without the model",
            _share(without, len(account.turns)),
            None,
        ),
        ("sessions recovered", _recovered(account), aims["sessions recovered"]),
        ("streams cut and taken up again", str(sum(turn.cuts for turn in account.turns)), None),
        ("refused and asked again", str(sum(turn.refusals for turn in account.turns)), None),
        ("cache hit rate", _share(account.hits, account.hits + account.misses), aims["cache hit rate"]),
        ("CPU, cores", _cpu(account), None),
        ("CPU of a turn, ms", _cpu_of_a_turn(account), None),
        ("memory, MiB at most", _memory(account), None),
        ("replicas", _replicas(account), None),
    ]


def table(shown: Sequence[Row]) -> str:
    """Rows as a Markdown table."""
    lines = [("", "measured", "target", "held"), ("---",) * 4]
    for name, text, target in shown:
        aim = (target.wanted, "yes" if target.held else "**no**") if target else ("", "")
        lines.append((name, text, *aim))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def by_phase(account: Account) -> str:
    """The course in numbers: each turn in the phase in which it was asked."""
    head = (
        "phase",
        "from",
        "turns",
        "a second",
        "added p50, s",
        "added p95, s",
        "without the model",
        "wrong",
    )
    lines = [head, ("---",) * len(head)]
    for phase in account.plan:
        asked = [turn for turn in account.turns if within(account.plan, turn.at) is phase]
        found = spread([turn.added for turn in asked if turn.problem is None and turn.added is not None])
        lines.append(
            (
                phase.name,
                f"{phase.begins:.0f} s",
                str(len(asked)),
                f"{len(asked) / (phase.ends - phase.begins):.1f}",
                *(f"{found[share]:.2f}" if found else NOTHING for share in ("p50", "p95")),
                str(sum(turn.fallback for turn in asked)),
                str(sum(turn.problem is not None for turn in asked)),
            )
        )
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def log(account: Account) -> str:
    """What the service did by itself, with times of the play."""
    lines = [("at", "what the service did by itself, from its own logs"), ("---", "---")]
    lines += [(f"{each.at:.0f} s", each.text.replace("|", "/")) for each in account.happenings]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _seconds(values: Sequence[float]) -> str:
    found = spread(values)
    return ", ".join(f"{name} {value:.2f}" for name, value in found.items()) or NOTHING


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.2f} % ({part} of {whole})" if whole else NOTHING


def _recovered(account: Account) -> str:
    if not account.interrupted:
        return "none was interrupted"
    ways = sorted({each.how for each in account.interrupted})
    count = {way: sum(each.how == way for each in account.interrupted) for way in ways}
    told = ", ".join(f"{count[way]} as their replica was {way}" for way in ways)
    return f"{account.recovered} of {len(account.interrupted)} interrupted ({told})"


def _cpu(account: Account) -> str:
    used = cores_used(account)
    told = ", ".join(f"{name} {cores:.2f}" for name, cores in used.items())
    return f"{told}, of {account.cores}" if used else NOTHING


def _cpu_of_a_turn(account: Account) -> str:
    if not account.samples or not account.turns:
        return NOTHING
    used = account.samples[-1].cpu
    return ", ".join(f"{name} {1000 * seconds / len(account.turns):.1f}" for name, seconds in used.items())


def _memory(account: Account) -> str:
    return ", ".join(f"{name} {mib:.0f}" for name, mib in most_memory(account).items()) or NOTHING


def _replicas(account: Account) -> str:
    if not account.samples:
        return NOTHING
    first, most, added = added_replicas(account)
    return f"{first} at the start, {most} at most: {added} added"
