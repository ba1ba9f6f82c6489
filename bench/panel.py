"""What `make load` shows: an account of all turns, and of the memory of the replicas. Pure.

A turn's whole time runs from its request to the end of its answer. What the service adds is that time less
the model's, which the turn asked for itself; waiting in the queue, the lookup of the tool, checkpoints and a
loop that is busy are all in it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from bench.figures import percentile
from bench.sessions import Asked

SHARES = (50, 95, 99)
WINDOW_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident memory of all replicas together, MiB: before any session, with all of them connected and idle,
    the most while they talk, and after the last has gone."""

    start: float
    idle: float
    peak: float
    end: float


@dataclass(frozen=True, slots=True)
class Account:
    """A whole play of `seconds`. `cpu`: seconds of processor time by who used them."""

    turns: Sequence[Asked]
    sessions: int
    most_open: int
    most_running: int
    seconds: float
    memory: Memory
    cache_hits: int
    cache_misses: int
    cpu: dict[str, float]

    @property
    def wrong(self) -> list[Asked]:
        """Turns without their right answer."""
        return [turn for turn in self.turns if turn.problem is not None]

    @property
    def right(self) -> list[Asked]:
        """The others."""
        return [turn for turn in self.turns if turn.problem is None]


def added(turn: Asked) -> float:
    """Seconds that the service adds to the model's."""
    return turn.total - turn.model


def panel(account: Account) -> str:
    """The account as Markdown."""
    return f"{_latencies(account)}\n\n{_facts(account)}"


def _latencies(account: Account) -> str:
    right = account.right
    groups = {
        "all: added by the service": [added(turn) for turn in right],
        **{
            f"{name}: added by the service": [added(turn) for turn in right if turn.priority == name]
            for name in ("high", "normal", "low")
        },
        "streamed: until the first piece": [turn.first for turn in right if turn.first is not None],
        "all: the model's own time": [turn.model for turn in right],
        "all: whole time": [turn.total for turn in right],
    }
    lines = [["seconds", "turns", "mean", *(f"p{share}" for share in SHARES), "most"]]
    lines.append(["---"] * len(lines[0]))
    for name, values in groups.items():
        if values:
            numbers = [fmean(values), *(percentile(values, share) for share in SHARES), max(values)]
            lines.append([name, str(len(values)), *(f"{number:.3f}" for number in numbers)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _facts(account: Account) -> str:
    memory, turns = account.memory, account.turns
    lookups = account.cache_hits + account.cache_misses
    facts = {
        "sessions": f"{account.sessions}, at most {account.most_open} open at once; "
        f"at most {account.most_running} answers at once",
        "turns": f"{len(turns)} in {account.seconds:.0f} s: {len(turns) / account.seconds:.0f} a second, "
        f"at most {busiest(turns):.0f} over {WINDOW_SECONDS} s",
        "success": f"{100 * len(account.right) / max(1, len(turns)):.3f} %, {len(account.wrong)} errors; "
        f"refused and repeated {sum(turn.refusals for turn in turns)} times, "
        f"{sum(turn.reconnects for turn in turns)} connections opened anew",
        "cache": f"{account.cache_hits} hits of {lookups} "
        f"({100 * account.cache_hits / max(1, lookups):.0f} %)",
        "memory of the replicas, MiB": f"{memory.start:.0f} at the start, "
        f"{memory.idle:.0f} with all sessions idle, {memory.peak:.0f} at most, {memory.end:.0f} at the end",
        "MiB for 1,000 idle sessions": f"{1000 * (memory.idle - memory.start) / account.sessions:.1f}",
        "MiB for 1,000 sessions in the play": f"{1000 * (memory.peak - memory.start) / account.sessions:.1f}",
        "CPU, ms a turn": ", ".join(
            f"{name} {1000 * used / max(1, len(turns)):.1f}" for name, used in account.cpu.items()
        ),
    }
    lines = [["", ""], ["---", "---"], *([name, text] for name, text in facts.items())]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def busiest(turns: Sequence[Asked]) -> float:
    """Turns a second in the busiest window."""
    windows = Counter(int(turn.ended_at // WINDOW_SECONDS) for turn in turns)
    return max(windows.values(), default=0) / WINDOW_SECONDS
