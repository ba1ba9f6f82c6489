"""A circuit that the replicas of a service share: what a replica sends to the others, and how it applies
their answer. Pure; `redis_sharing` transports it.

The replicas share whether the circuit is open or closed, the number of the agreed change that made it so
(`generation`), for how much longer it stays open, and the counts of the window's calls in all replicas. A
replica that opens, closes or reopens its circuit proposes that; the first proposal for the current generation
is accepted, and the other replicas adopt it. The half-open phase is each replica's own: each lets its own
probes through. Their results are counted together, and the first replica for which they suffice decides for
all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lgs_runtime.breaker.policy import Policy
from lgs_runtime.breaker.state_machine import Phase, State, changed, judged, too_bad
from lgs_runtime.breaker.window import NONE, Counts

Agreed = Literal["closed", "open"]


@dataclass(frozen=True, slots=True)
class Link:
    """The agreed state that a replica read last. `local`: the generation of its own state that corresponds to
    it."""

    generation: int = 0
    phase: Agreed = "closed"
    local: int = 0
    pushed: Counts = NONE
    """Calls of this local generation that have been sent to the others."""


@dataclass(frozen=True, slots=True)
class Message:
    """What a replica sends. `proposes`: the phase that it wants to be agreed on; None: nothing new."""

    known: int
    phase: Agreed
    proposes: Agreed | None
    left_seconds: float
    """For how many seconds more it is open, by this replica's account."""
    cause: Counts
    delta: Counts
    """Calls that have ended here since the last message that was answered."""
    of: int
    """The generation of its own state that these calls belong to."""
    ended: Counts
    """All calls of that generation that have ended here: they tell what a message whose answer was lost had
    counted."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A message, the state that it was made from, and the agreed state that was known then."""

    link: Link
    at: State
    message: Message


@dataclass(frozen=True, slots=True)
class Answer:
    """The state that is agreed now."""

    accepted: bool
    generation: int
    phase: Agreed
    left_seconds: float
    cause: Counts
    total: Counts
    """The calls of the window in all replicas; while the circuit is open, all replicas' probes."""


def message_of(policy: Policy, link: Link, state: State, now: float) -> Sent:
    """The message that a replica in this state sends."""
    phase: Agreed = "closed" if state.phase is Phase.CLOSED else "open"
    opened_again = state.phase is Phase.OPEN and state.generation != link.local
    left = state.since + policy.recovery_timeout - now if state.phase is Phase.OPEN else 0.0
    before = link.pushed if state.generation == link.local else NONE
    delta = Counts(*(now - then for now, then in zip(_ended(state), before, strict=True)))
    return Sent(
        link,
        state,
        Message(
            known=link.generation,
            phase=phase,
            proposes=phase if phase != link.phase or opened_again else None,
            left_seconds=max(0.0, left),
            cause=state.cause,
            delta=delta,
            of=state.generation,
            ended=_ended(state),
        ),
    )


def answered(policy: Policy, sent: Sent, answer: Answer, state: State, now: float) -> tuple[State, Link]:
    """Applies an answer; returns the next state of a replica that is in `state`, and the agreed state that it
    has read."""
    accepted = answer.accepted or answer.generation == sent.link.generation
    if not accepted or answer.phase != sent.message.phase:
        state = taken_over(policy, answer, state, now)
        pushed = sent.at if state.generation == sent.at.generation else state
        return state, Link(answer.generation, answer.phase, state.generation, _ended(pushed))
    link = Link(answer.generation, answer.phase, sent.at.generation, _ended(sent.at))
    return judged_together(policy, answer, state, now), link


def _ended(state: State) -> Counts:
    """The calls of this generation that ended here; while it is half-open, its probes."""
    return state.probed if state.phase is Phase.HALF_OPEN else state.ended


def taken_over(policy: Policy, answer: Answer, state: State, now: float) -> State:
    """The state of a replica when the others agreed on something other than its proposal."""
    if answer.phase == "closed":
        return state if state.phase is Phase.CLOSED else changed(state, Phase.CLOSED, now)
    since = now - policy.recovery_timeout + min(answer.left_seconds, policy.recovery_timeout)
    if state.phase is Phase.OPEN:
        return state._replace(since=since)
    return changed(state, Phase.OPEN, since, answer.cause)


def judged_together(policy: Policy, answer: Answer, state: State, now: float) -> State:
    """The state of a circuit when the calls of all replicas are judged together."""
    if state.phase is Phase.CLOSED and answer.phase == "closed" and too_bad(policy, answer.total):
        return changed(state, Phase.OPEN, now, answer.total)
    if state.phase is Phase.HALF_OPEN and answer.phase == "open":
        return judged(policy, state, answer.total, now)
    return state
