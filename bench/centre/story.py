"""What is done to the service in a play, each at its time: a spike is in the load, all else is here."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from bench.centre.phases import Name, Phase
from bench.centre.service import Centre
from bench.processes import beside

SLOW_FACTOR: Final = 6.0
IS_BACK: Final = 0.5
"""Share of the phase without Redis after which it goes on."""


@dataclass(frozen=True, slots=True)
class Act:
    """At a time of the play something is done."""

    at: float
    name: str
    do: Callable[[], object]


def acts(centre: Centre, plan: Sequence[Phase]) -> list[Act]:
    """What is done, in order."""
    by: dict[Name, Phase] = {phase.name: phase for phase in plan}
    away = by["redis"]
    return [
        Act(by["kill"].begins, "a replica with sessions under way is killed (SIGKILL)", centre.kill),
        Act(by["restart"].begins, "a replica with sessions under way is restarted (SIGTERM)", centre.restart),
        Act(
            by["slow"].begins,
            f"the model is {SLOW_FACTOR:g} times as slow",
            lambda: centre.model(SLOW_FACTOR),
        ),
        Act(by["failing"].begins, "the model fails at each call", lambda: centre.model(1.0, 1.0)),
        Act(by["well"].begins, "the model is well again", centre.model),
        Act(away.begins, "Redis stands still, and answers nothing", centre.stop_redis),
        Act(away.begins + IS_BACK * (away.ends - away.begins), "Redis goes on", centre.wake_redis),
    ]


class Story:
    """Does what is to be done in a thread of its own, until the context ends."""

    def __init__(
        self, todo: Sequence[Act], say: Callable[[str], None], before: Callable[[], None] = lambda: None
    ) -> None:
        """`before` is called before each of them: what it reads may be gone afterwards."""
        self._todo = todo
        self._before = before
        self._say = say
        self._failed: Exception | None = None

    @contextmanager
    def told(self, began: float) -> Iterator[None]:
        """While the context is open, which began at this monotonic time. Raises what an act has raised."""
        with beside(lambda over: self._tell(began, over)):
            yield
        if self._failed is not None:
            raise self._failed

    def _tell(self, began: float, over: threading.Event) -> None:
        for act in self._todo:
            if over.wait(max(0.0, began + act.at - time.monotonic())):
                return
            self._say(f"{time.monotonic() - began:5.0f} s: {act.name}")
            try:
                self._before()
                act.do()
            except Exception as failed:  # noqa: BLE001 - raised where the play is waited for
                self._failed = failed
                return
