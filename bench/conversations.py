"""Who asks what and when: the conversations of `make load`, made from a trace of real arrivals. Pure.

Sessions begin in the trace's own order and rhythm, squeezed into the first eighth of the play, and end in
its last eighth, so that between the two all of them are open at once. Lengths of answers are the trace's
too.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import cycle, islice
from pathlib import Path
from typing import Final

TRACE: Final = Path(__file__).parents[1] / "tests/scaling/traces/azure_llm_conversation_2023.csv"
TOKENS_PER_SECOND: Final = 60.0
TOKENS_PER_PIECE: Final = 20
RAMP: Final = 1 / 8
"""Share of the play in which sessions begin, and in which they end."""
QUESTIONS: Final = 2000
PRIORITIES: Final = {"high": 0.2, "normal": 0.5, "low": 0.3}
TURNS: Final = (2, 2, 3)
STREAMED: Final = 0.8
"""Share of the turns that are streamed; the others wait for the result."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A question after `think_seconds`, whose answer takes the model `seconds`."""

    think_seconds: float
    question: str
    pieces: int
    seconds: float
    streams: bool


@dataclass(frozen=True, slots=True)
class Conversation:
    """Begins at `starts_at` seconds from the begin of the play, and stays open for `stays_seconds` after its
    last answer."""

    starts_at: float
    priority: str
    turns: tuple[Turn, ...]
    stays_seconds: float


def answer_of(place: int, question: str) -> str:
    """What the answer to a question must be, as the `place`th of its conversation, from 0."""
    return f"{place}: {question}"


def read_trace(path: Path = TRACE) -> list[tuple[float, int]]:
    """Seconds since the first arrival, and tokens, of each request in order."""
    with path.open() as file:
        rows = [
            (datetime.fromisoformat(row["TIMESTAMP"][:26]).timestamp(), int(row["GeneratedTokens"]))
            for row in csv.DictReader(file)
        ]
    return [(at - rows[0][0], tokens) for at, tokens in rows]


def conversations(
    trace: Sequence[tuple[float, int]], count: int, seconds: float, seed: int
) -> list[Conversation]:
    """`count` conversations of a play of `seconds`; the same for the same seed."""
    dice = random.Random(seed)
    arrivals = [at for at, _ in islice(cycle(trace), count)]
    stretch = seconds * RAMP / max(arrivals, default=1) if max(arrivals, default=0) else 0.0
    tokens = cycle(tokens for _, tokens in trace)
    popularity = [1 / rank for rank in range(1, QUESTIONS + 1)]
    names, weights = list(PRIORITIES), list(PRIORITIES.values())

    def conversation(arrival: float) -> Conversation:
        starts_at = arrival * stretch
        ends_at = seconds * dice.uniform(1 - RAMP, 1.0)
        sizes = [next(tokens) for _ in range(dice.choice(TURNS))]
        speaking = sum(size / TOKENS_PER_SECOND for size in sizes)
        # One pause more than turns: else the last turns of all would come together as the play ends.
        pauses = [dice.expovariate(1.0) for _ in range(len(sizes) + 1)]
        pause = max(0.0, ends_at - starts_at - speaking) / sum(pauses)
        asked = dice.choices(range(QUESTIONS), popularity, k=len(sizes))
        turns = tuple(
            Turn(
                think_seconds=part * pause,
                question=f"question {question}",
                pieces=max(1, round(size / TOKENS_PER_PIECE)),
                seconds=size / TOKENS_PER_SECOND,
                streams=dice.random() < STREAMED,
            )
            for part, question, size in zip(pauses[1:], asked, sizes, strict=True)
        )
        return Conversation(starts_at, dice.choices(names, weights)[0], turns, pauses[0] * pause)

    return [conversation(arrival) for arrival in arrivals]
