"""The life of an alert: inactive, pending, firing, resolved. Pure; `now` is in seconds since the epoch.

Missing data neither makes an alert fire nor ends it, and the time without data does not count towards `for`.
If it is known that nothing happened, an alert ends.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from lgs_operator.alerting.definitions import Definition

Phase = Literal["Inactive", "Pending", "Firing", "Resolved"]
Told = Literal["firing", "resolved"]


@dataclass(frozen=True)
class AlertState:
    """The state of an alert. `since` is when the phase began, `at` when it was last evaluated, `value` what
    was measured when the phase began, `fired_at` when it last fired. `unsent` is the message that the
    receiver has not accepted yet."""

    phase: Phase = "Inactive"
    since: float = 0.0
    at: float = 0.0
    value: float | None = None
    fired_at: float | None = None
    resolved_at: float | None = None
    unsent: Told | None = None
    error: str | None = None
    """Why the receiver did not accept the last call."""


def evaluated(
    definition: Definition,
    state: AlertState,
    value: float | None,
    now: float,
    *,
    nothing_happened: bool = False,
) -> AlertState:
    """The state at `now`, when `value` was measured."""
    elapsed = max(0.0, now - state.at)
    # a clock that was set back must not prolong any wait
    state = replace(state, at=now, since=min(state.since, now))
    if value is None and not nothing_happened:
        return replace(state, since=state.since + elapsed) if state.phase == "Pending" else state
    if value is None or not definition.holds(value):
        return _quiet(definition, state, value, now)
    if state.phase == "Firing":
        return state
    if state.phase != "Pending":
        state = replace(state, phase="Pending", since=now, value=value)
    if now - state.since >= definition.seconds:
        unsent: Told | None = "firing" if definition.webhook else None
        return replace(state, phase="Firing", since=now, value=value, fired_at=now, unsent=unsent, error=None)
    return state


def _quiet(definition: Definition, state: AlertState, value: float | None, now: float) -> AlertState:
    if state.phase == "Firing":
        unsent: Told | None = "resolved" if definition.webhook else None
        return replace(
            state, phase="Resolved", since=now, value=value, resolved_at=now, unsent=unsent, error=None
        )
    if state.phase == "Pending":
        if state.resolved_at is not None:
            return replace(state, phase="Resolved", since=state.resolved_at)
        return replace(state, phase="Inactive", since=now)
    return state


def taken(state: AlertState, told: Told, error: str | None, *, final: bool) -> AlertState:
    """The state after the receiver accepted a message, or did not because of `error`. `final`:
    no more attempts."""
    if state.unsent != told:
        return state
    return replace(state, unsent=None if error is None or final else told, error=error)
