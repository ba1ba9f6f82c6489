"""What `lgs up` shows on a terminal."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from lgs_operator.local.view import View
from lgs_operator.scaling import Decision, Memory

REASON = (
    "2.4 runs/s of 3.7 s keep 9 slots in use and need 50, so that 18% of them are in use at most "
    "(utilization): 4 replicas of 16 slots; maxReplicas is 4"
)


def shown(width: int, title: str = "support") -> str:
    """The letters of the screen of a terminal that is so wide."""
    screen = io.StringIO()
    console = Console(
        file=screen, force_terminal=True, width=width, height=90, soft_wrap=True, color_system=None
    )
    decision = Decision(4, REASON, "ScaledOut", {}, "max", Memory(), p95=1.5, queue=3)
    with View(console) as view:
        view.show(title, [], decision)
    return letters(screen.getvalue())


def letters(text: str) -> str:
    return re.sub(r"[^\w.:%/]", "", text)


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_reason_of_a_decision_and_the_address_are_shown_whole_however_narrow_the_terminal_is(
    width: int,
) -> None:
    title = "a-service-with-a-name-that-is-as-long-as-a-name-may-be-at-most-63  http://127.0.0.1:8123"

    screen = shown(width, title)

    assert letters(f"ScaledOut: {REASON}") in screen
    assert letters(title) in screen


def test_without_a_terminal_a_decision_is_said_when_the_number_or_what_decided_is_another() -> None:
    screen = io.StringIO()
    scaled = Decision(4, REASON, "ScaledOut", {}, "max", Memory(), p95=1.5, queue=3)
    waiting = replace(scaled, reason="3.1 runs/s")
    back = replace(scaled, replicas=3, code="ScaledIn", reason="no new runs come")

    with View(Console(file=screen, width=400)) as view:
        for decision in (None, scaled, waiting, back, back):
            view.show("support", [], decision)

    said = [line.partition(" ")[2] for line in screen.getvalue().splitlines()]
    assert said == [f"ScaledOut: 4 wanted: {REASON}", "ScaledIn: 3 wanted: no new runs come"]
