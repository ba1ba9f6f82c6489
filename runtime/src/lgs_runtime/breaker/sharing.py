"""A circuit that the replicas of a service have in common: what one sends the others, and what it makes of
their answer. Pure; `redis_sharing` carries it.

Shared is whether the circuit is open or closed, since which agreed change (`generation`), for how much
longer, and the calls of the window in all replicas. A replica that opens, closes or opens again proposes so;
the first proposal for the present generation is accepted, and the other replicas adopt it.
Half-open is each replica's own: each lets its probes through. Their results count together, and the first
replica to be sure decides for all.
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
    """The agreed state that a replica has read last. `local`: the generation of its own state that
    corresponds to it."""

    generation: int = 0
    phase: Agreed = "closed"
    local: int = 0
    pushed: Counts = NONE
    """Calls of this local generation that have been sent to the others."""


@dataclass(frozen=True, slots=True)
class Message:
    """What a replica sends. `proposes`: what it wants to be agreed; None: nothing new."""

    known: int
    phase: Agreed
    proposes: Agreed | None
    left_seconds: float
    """For how much longer it is open by this replica's account."""
    cause: Counts
    delta: Counts
    """Calls that have ended here since the last message that was answered."""
    of: int
    """The generation of its own state that these are of."""
    ended: Counts
    """All calls of it that have ended here: by them is known what a message had whose answer was lost."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A message, the state that it was made from, and what was known to be agreed."""

    link: Link
    at: State
    message: Message


@dataclass(frozen=True, slots=True)
class Answer:
    """What is agreed now."""

    accepted: bool
    generation: int
    phase: Agreed
    left_seconds: float
    cause: Counts
    total: Counts
    """The calls of the window in all replicas; while it is open, their probes'."""


def message_of(policy: Policy, link: Link, state: State, now: float) -> Sent:
    """The message of a replica in this state."""
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
    """The next state of a replica that is in `state`, and the agreed state that it has read."""
    accepted = answer.accepted or answer.generation == sent.link.generation
    if not accepted or answer.phase != sent.message.phase:
        state = taken_over(policy, answer, state, now)
        pushed = sent.at if state.generation == sent.at.generation else state
        return state, Link(answer.generation, answer.phase, state.generation, _ended(pushed))
    link = Link(answer.generation, answer.phase, sent.at.generation, _ended(sent.at))
    return judged_together(policy, answer, state, now), link


def _ended(state: State) -> Counts:
    """The calls that ended here, of this generation: probes while it is half-open."""
    return state.probed if state.phase is Phase.HALF_OPEN else state.ended


def taken_over(policy: Policy, answer: Answer, state: State, now: float) -> State:
    """A replica's state when the others agreed on something else than it proposed."""
    if answer.phase == "closed":
        return state if state.phase is Phase.CLOSED else changed(state, Phase.CLOSED, now)
    since = now - policy.recovery_timeout + min(answer.left_seconds, policy.recovery_timeout)
    if state.phase is Phase.OPEN:
        return state._replace(since=since)
    return changed(state, Phase.OPEN, since, answer.cause)


def judged_together(policy: Policy, answer: Answer, state: State, now: float) -> State:
    """A circuit by the calls of all replicas."""
    if state.phase is Phase.CLOSED and answer.phase == "closed" and too_bad(policy, answer.total):
        return changed(state, Phase.OPEN, now, answer.total)
    if state.phase is Phase.HALF_OPEN and answer.phase == "open":
        return judged(policy, state, answer.total, now)
    return state
