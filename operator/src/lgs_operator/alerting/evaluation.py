"""One evaluation of all alerts of a service after the other. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Final

from lgs_operator.alerting.budgets import Kept, kept, outcomes
from lgs_operator.alerting.definitions import Definition
from lgs_operator.alerting.history import History, Outcomes
from lgs_operator.alerting.measures import Seen
from lgs_operator.alerting.states import AlertState, Told, evaluated
from lgs_operator.alerting.window import Window, advanced
from lgs_operator.monitoring.objectives import Objective
from lgs_operator.scaling.samples import Observation

SECONDS: Final = 5.0
"""Between two evaluations: an alert fires or ends no more often."""


@dataclass(frozen=True)
class Evaluation:
    """`states` are by the names of `definitions`; `at` is when that was, in seconds since the epoch."""

    definitions: tuple[Definition, ...] = ()
    states: Mapping[str, AlertState] = field(default_factory=dict)
    window: Window = field(default_factory=Window)
    at: float | None = None
    known: bool = False
    """Replicas answered."""
    objectives: tuple[Objective, ...] = ()
    history: History = field(default_factory=History)

    @property
    def kept(self) -> tuple[Kept, ...]:
        """How the objectives were kept until then."""
        return tuple(kept(each, self.history, self.at or 0.0) for each in self.objectives)

    def is_due(self, now: float) -> bool:
        """Whether there is to be another one."""
        return self.at is None or not 0 <= now - self.at < SECONDS


@dataclass(frozen=True)
class Change:
    """An alert has begun to fire, or that is over; in `state` is when and by which value. `gone`: the
    manifest has it no more."""

    definition: Definition
    state: AlertState
    told: Told
    gone: bool = False


def evaluate(
    before: Evaluation,
    definitions: tuple[Definition, ...],
    observation: Observation | None,
    now: float,
    objectives: tuple[Objective, ...] = (),
) -> Evaluation:
    """The next one. Without an observation nobody could be asked."""
    known = observation is not None and bool(observation.samples)
    window = before.window if observation is None or not definitions else advanced(before.window, observation)
    at = now if observation is None else observation.at
    history = _history(before, objectives, window, at)
    earlier = {each.name: each for each in before.definitions}
    states = {}
    for each in definitions:
        state = _as_it_was(each, earlier.get(each.name), before.states.get(each.name, AlertState(at=now)))
        value = each.read(Seen(observation, window, history)) if known and observation is not None else None
        # what replicas answer may be any number, and their sum none
        measured = value if value is not None and isfinite(value) else None
        is_over = measured is None and each.of_events and known and window.is_whole
        states[each.name] = evaluated(each, state, measured, now, nothing_happened=is_over)
    return Evaluation(definitions, states, window, now, known, objectives, history)


def _history(before: Evaluation, objectives: tuple[Objective, ...], window: Window, now: float) -> History:
    """With what was counted since; nothing is kept where nothing is promised."""
    if not objectives:
        return History()
    seconds = next((each.seconds for each in objectives if each.seconds is not None), None)
    history = before.history.following(seconds)
    if window is before.window:
        return history.with_more(Outcomes(), now)
    return history.with_more(outcomes(window.latest, seconds), now)


def _as_it_was(now: Definition, before: Definition | None, state: AlertState) -> AlertState:
    """What is pending begins anew where it is about something else now, and what fires is told to a receiver
    that is another one now, or whose Secret is, where the last call was not taken."""
    if now.webhook is None:
        state = replace(state, unsent=None, error=None)
    if before is None:
        return state
    if state.phase == "Pending" and before.rule != now.rule:
        return replace(state, phase="Inactive")
    if state.phase == "Firing" and now.webhook is not None and before.webhook != now.webhook:
        is_other = before.webhook is None or before.webhook.url != now.webhook.url
        return replace(state, unsent="firing") if is_other or state.error is not None else state
    return state


def changes(before: Evaluation, after: Evaluation) -> tuple[Change, ...]:
    """What fires that did not before, and the other way round."""
    found = []
    for each in after.definitions:
        was, now = before.states.get(each.name, AlertState()), after.states[each.name]
        if now.phase == "Firing" and (was.phase != "Firing" or was.fired_at != now.fired_at):
            found.append(Change(each, now, "firing"))
        if now.phase == "Resolved" and was.phase == "Firing":
            found.append(Change(each, now, "resolved"))
    for each in before.definitions:
        was = before.states[each.name]
        if each.name not in after.states and was.phase == "Firing":
            over = replace(was, phase="Resolved", since=after.at or 0.0, resolved_at=after.at)
            found.append(Change(each, over, "resolved", gone=True))
    return tuple(found)
