"""Who the customers of a play are, when they come, and what they ask. Pure.

What is asked follows Zipf's law over the example's own questions, and some of it is a complaint. A customer
has a session after the other, each of some turns.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from bench.centre.phases import Phase, arrivals, turns_of

TURNS: Final = (2, 3, 4)
"""Turns of a session."""
COME: Final = 50
"""Customers a second, at most."""
COMMON: Final = 30
"""So many questions of the example are asked, and as many complaints as there are."""
SAME_TOPIC: Final = 0.8
"""How often a turn is about what the one before it was about."""
NEAR: Final = 3
"""Who asks next is one of the third of the customers who have been silent for longest."""
RARE: Final = {"complaint": 0.1, "person": 0.01}
"""Share of the turns with these intents; the others are all other intents of the example."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a customer says, and what it is by the example's own label; empty where it has none. `common`: one
    of those that the example takes for the most common."""

    text: str
    intent: str
    common: bool = False

    @property
    def priority(self) -> str:
        """A complaint goes before a question."""
        return "high" if self.intent == "complaint" else "normal"


@dataclass(frozen=True, slots=True)
class Ask:
    """A turn, at a time of the play. `session`: the number of the session among those of its customer."""

    at: float
    session: int
    question: Question


@dataclass(slots=True)
class Customer:
    """Comes at a time of the play, begins a session, and stays until the end of the play."""

    name: str
    comes_at: float
    asks: list[Ask] = field(default_factory=list)


def customers(
    trace: Sequence[float],
    plan: Sequence[Phase],
    questions: Sequence[Question],
    *,
    count: int,
    rate: float,
    seed: int,
) -> list[Customer]:
    """`count` customers who together ask at `rate` turns a second of the steady phase; the same for the same
    seed. They come in the first half of the first phase; where that were more than `COME` a second, it takes
    longer."""
    dice = random.Random(seed)
    ramp = max((plan[0].ends - plan[0].begins) / 2, min(count / COME, plan[-1].ends / 2))
    everybody = [Customer(f"customer-{number}", dice.uniform(0, ramp)) for number in range(count)]
    mix = Mix(questions, dice)
    line = list(everybody)
    left = {customer.name: 0 for customer in everybody}
    for at in arrivals(trace, plan, turns_of(plan, rate)):
        customer = line.pop(dice.randrange(max(1, len(line) // NEAR)))
        line.append(customer)
        session = customer.asks[-1].session if customer.asks else -1
        before = customer.asks[-1].question if customer.asks else None
        if left[customer.name] == 0:
            session, left[customer.name], before = session + 1, dice.choice(TURNS), None
        left[customer.name] -= 1
        customer.asks.append(Ask(at, session, mix.after(before)))
    for customer in everybody:
        if customer.asks:
            customer.comes_at = min(customer.comes_at, customer.asks[0].at)
    return everybody


class Mix:
    """What is asked next. Behind the questions that are the most common, in their order, which are common and
    which are rare is drawn at the beginning."""

    def __init__(self, questions: Sequence[Question], dice: random.Random) -> None:
        self._dice = dice
        groups = [[each for each in questions if each.intent == intent] for intent in RARE]
        groups.append([each for each in questions if each.intent not in RARE])
        self._weights = [*RARE.values(), 1 - sum(RARE.values())]
        self._groups = [
            {each: 1 / rank for rank, each in enumerate(_ranked(group, dice)[:COMMON], 1)} for group in groups
        ]

    def after(self, before: Question | None) -> Question:
        """Of a session whose last question is known: mostly of the same topic, unless a person or a
        complaint comes in between."""
        group = self._dice.choices(self._groups, self._weights)[0]
        if before is not None and before.intent and self._dice.random() < SAME_TOPIC:
            alike = {each: weight for each, weight in group.items() if each.intent == before.intent}
            group = alike or group
        return self._dice.choices(list(group), list(group.values()))[0]


def _ranked(group: Sequence[Question], dice: random.Random) -> list[Question]:
    others = [each for each in group if not each.common]
    return [*(each for each in group if each.common), *dice.sample(others, len(others))]
