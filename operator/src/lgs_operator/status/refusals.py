"""Why replicas refuse new runs: graphs whose circuit is open, budgets that are used up. What is known, the
condition and the Events of changes have one shape for each kind. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from lgs_crds import LangGraphService
from lgs_crds.reasons import Reason
from lgs_crds.status import Condition, ConditionType, condition
from lgs_operator.kube.kinds import EventType
from lgs_operator.scaling import Observation

MOST_NAMED: Final = 10
Names = frozenset[str]
Event = tuple[EventType, Reason, str]


@dataclass(frozen=True)
class Seen:
    """The result of a round: `names` are refused now (None: nobody has ever reported it), `events` tell
    what has changed."""

    names: Names | None
    condition: Condition | None
    events: tuple[Event, ...] = ()


@dataclass(frozen=True)
class Refusals:
    """One kind of refusal: its condition, and a reason with words for each case, in which
    `{}` stands for names.

    `read` gives the names refused, from the answers of the replicas and the names before; None if nobody
    reports it. `applies` tells whether a service has the condition at all, given the names refused.
    """

    type: ConditionType
    none: tuple[Reason, str]
    some: tuple[Reason, str]
    unknown: str
    began: tuple[Reason, str]
    over: tuple[Reason, str]
    read: Callable[[LangGraphService, Observation, Names | None], Names | None]
    applies: Callable[[LangGraphService, Names], bool]

    def condition(self, service: LangGraphService, names: Names | None) -> Condition | None:
        """The condition; None if it does not apply to the service. `names` None: nobody could be asked."""
        if not self.applies(service, names or frozenset()):
            return None
        if names is None:
            return condition(self.type, "Unknown", "NoReplica", self.unknown)
        if not names:
            return condition(self.type, "True", *self.none)
        reason, words = self.some
        return condition(self.type, "False", reason, words.format(_listed(names)))

    def events(self, before: Names, now: Names) -> Iterator[Event]:
        """An Event for each name that is newly refused or no longer refused."""
        changes: tuple[tuple[EventType, tuple[Reason, str], Names], ...] = (
            ("Warning", self.began, now - before),
            ("Normal", self.over, before - now),
        )
        for kind, (reason, words), names in changes:
            for each in sorted(names):
                yield kind, reason, words.format(each)

    def seen(
        self,
        service: LangGraphService,
        observation: Observation,
        before: Names | None,
        stated: Condition | None,
    ) -> Seen:
        """The result of a round. `before` is what was refused when it was reported last, `stated` the
        condition then; if nobody reports it this time, both stay."""
        names = self.read(service, observation, before)
        if names is None:
            known = None if before is None else self.condition(service, before)
            return Seen(before, known or stated or self.condition(service, None))
        if before is None:
            # For what was refused already, an earlier operator has written an Event.
            before = names if stated is not None and stated.reason == self.some[0] else frozenset()
        return Seen(names, self.condition(service, names), tuple(self.events(before, names)))


def _listed(names: Names) -> str:
    named = sorted(names)
    more = len(named) - MOST_NAMED
    return ", ".join(named[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
