"""What replicas take no new runs of: graphs whose circuit is open, budgets that are used up. What is known of
it, the condition of that, and the Events of what changed, in one shape for each kind. Pure."""

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
    """`names` are what is refused now; None: nobody ever said. `events` are for what has changed."""

    names: Names | None
    condition: Condition | None
    events: tuple[Event, ...] = ()


@dataclass(frozen=True)
class Refusals:
    """One kind: its condition, and a reason with words for each case, in which `{}` stands for names.

    `read` gives what is refused by what replicas answered and what was before, None where nobody says;
    `applies` whether there is such a thing, for a service of which that is refused.
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
        """The condition, where there is such a thing. None: nobody could be asked."""
        if not self.applies(service, names or frozenset()):
            return None
        if names is None:
            return condition(self.type, "Unknown", "NoReplica", self.unknown)
        if not names:
            return condition(self.type, "True", *self.none)
        reason, words = self.some
        return condition(self.type, "False", reason, words.format(_listed(names)))

    def events(self, before: Names, now: Names) -> Iterator[Event]:
        """An Event for each that has changed."""
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
        """What a round of asking tells. `before` is what was refused when somebody said so last, `stated` the
        condition of then; where nobody says it this time, it is as it was."""
        names = self.read(service, observation, before)
        if names is None:
            known = None if before is None else self.condition(service, before)
            return Seen(before, known or stated or self.condition(service, None))
        if before is None:
            # What was refused already has an Event of the operator before this one.
            before = names if stated is not None and stated.reason == self.some[0] else frozenset()
        return Seen(names, self.condition(service, names), tuple(self.events(before, names)))


def _listed(names: Names) -> str:
    named = sorted(names)
    more = len(named) - MOST_NAMED
    return ", ".join(named[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
