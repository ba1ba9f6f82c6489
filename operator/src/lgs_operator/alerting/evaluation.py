"""Evaluates all alerts of a service, time after time. Pure."""

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
"""Seconds between two evaluations: an alert fires or ends no more often."""


@dataclass(frozen=True)
class Evaluation:
    """The result of an evaluation. `states` are by the names of `definitions`; `at` is its time, in
    seconds since the epoch."""

    definitions: tuple[Definition, ...] = ()
    states: Mapping[str, AlertState] = field(default_factory=dict)
    window: Window = field(default_factory=Window)
    at: float | None = None
    known: bool = False
    """Whether replicas answered."""
    objectives: tuple[Objective, ...] = ()
    history: History = field(default_factory=History)

    @property
    def kept(self) -> tuple[Kept, ...]:
        """How the objectives were kept until this evaluation."""
        return tuple(kept(each, self.history, self.at or 0.0) for each in self.objectives)

    def is_due(self, now: float) -> bool:
        """Whether the next evaluation is due."""
        return self.at is None or not 0 <= now - self.at < SECONDS


@dataclass(frozen=True)
class Change:
    """An alert has begun to fire, or has ended; `state` has the time and the value. `gone`: the manifest
    no longer has it."""

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
    """The next evaluation. `observation` is None if no replica could be asked."""
    known = observation is not None and bool(observation.samples)
    window = before.window if observation is None or not definitions else advanced(before.window, observation)
    at = now if observation is None else observation.at
    history = _history(before, objectives, window, at)
    earlier = {each.name: each for each in before.definitions}
    states = {}
    for each in definitions:
        state = _as_it_was(each, earlier.get(each.name), before.states.get(each.name, AlertState(at=now)))
        value = each.read(Seen(observation, window, history)) if known and observation is not None else None
        # replicas may answer any number, so the sum may not be finite
        measured = value if value is not None and isfinite(value) else None
        is_over = measured is None and each.of_events and known and window.is_whole
        states[each.name] = evaluated(each, state, measured, now, nothing_happened=is_over)
    return Evaluation(definitions, states, window, now, known, objectives, history)


def _history(before: Evaluation, objectives: tuple[Objective, ...], window: Window, now: float) -> History:
    """The history with what was counted since; empty without objectives."""
    if not objectives:
        return History()
    seconds = next((each.seconds for each in objectives if each.seconds is not None), None)
    history = before.history.following(seconds)
    if window is before.window:
        return history.with_more(Outcomes(), now)
    return history.with_more(outcomes(window.latest, seconds), now)


def _as_it_was(now: Definition, before: Definition | None, state: AlertState) -> AlertState:
    """The state of an alert whose definition may have changed. A pending alert starts again if its
    rule changed. A firing one is sent again if its receiver changed, or if the Secret did and the
    last call failed."""
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
    """The alerts that have begun to fire, and those that have ended."""
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
