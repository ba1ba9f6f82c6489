"""How often services are asked: as often as can be while that takes little, and those without work seldom
where there are very many."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lgs_operator.kube.kinds import ServiceKey
from lgs_operator.pace import CALM_STRETCH, LONGEST_WHOLE_SECONDS, MOST_STRETCH, Pace, has_no_work, is_calm
from lgs_operator.scaling import Decision, Memory, Observation, Policy, ReplicaSample

KEY, OTHER = ServiceKey("team", "support"), ServiceKey("team", "sales")
IDLE = ReplicaSample(replica="a", at=0.0, slots=50)
INTERVAL = 1.5


class Asking:
    """An operator whose asking takes as much of the processor as is said, on a simulated clock."""

    def __init__(self) -> None:
        self.pace, self.now, self.used = Pace(INTERVAL, lambda: 0.5), 1000.0, 0.0

    def passes(self, seconds: float, share: float) -> None:
        self.pace.measure(self.used, self.now)
        for _ in range(int(seconds)):
            self.now, self.used = self.now + 1, self.used + share
            self.pace.measure(self.used, self.now)

    def asks(self, key: ServiceKey, *samples: ReplicaSample, calm: bool = True) -> None:
        self.pace.asked(key, self.now, samples, calm=calm)

    def rests(self, key: ServiceKey) -> float:
        """Seconds until the service is due."""
        began = self.now
        while not self.pace.is_due(key, self.now):
            self.now += 0.1
        rested, self.now = self.now - began, began
        return rested


@pytest.fixture
def asking() -> Asking:
    return Asking()


def test_a_few_services_are_asked_at_every_interval_and_whole(asking: Asking) -> None:
    asking.passes(60, share=0.1)
    for _ in range(3):
        asking.asks(KEY, IDLE)

    assert asking.pace.stretch == 1
    assert asking.pace.is_due(KEY, asking.now)
    assert not asking.pace.is_glance(KEY, asking.now)


def test_a_service_that_was_never_asked_is_due(asking: Asking) -> None:
    asking.passes(60, share=0.9)

    assert asking.pace.is_due(KEY, asking.now)
    assert not asking.pace.is_glance(KEY, asking.now)


def test_where_there_are_very_many_those_without_work_are_left_alone(asking: Asking) -> None:
    asking.passes(10, share=0.5)
    for key, calm in ((KEY, True), (OTHER, False)):
        asking.asks(key, IDLE, calm=calm)
        asking.asks(key, IDLE, calm=calm)

    assert asking.rests(KEY) > 2 * INTERVAL
    assert asking.pace.is_glance(KEY, asking.now)
    assert asking.rests(OTHER) == 0
    assert not asking.pace.is_glance(OTHER, asking.now)


def test_a_service_with_any_arrivals_is_not_calm(asking: Asking) -> None:
    asking.passes(10, share=0.5)
    asking.asks(KEY, IDLE)
    asking.asks(KEY, replace(IDLE, arrived=1.0))

    assert asking.rests(KEY) == 0
    asking.asks(KEY, replace(IDLE, arrived=1.0))
    assert asking.rests(KEY) > 0


def test_those_with_work_wait_only_where_that_is_not_enough(asking: Asking) -> None:
    asking.passes(600, share=1.0)
    for key, calm in ((KEY, True), (OTHER, False)):
        asking.asks(key, IDLE, calm=calm)
        asking.asks(key, IDLE, calm=calm)

    assert asking.pace.stretch == MOST_STRETCH
    assert asking.rests(KEY) == pytest.approx(INTERVAL * CALM_STRETCH, abs=0.2)
    assert asking.rests(OTHER) == pytest.approx(INTERVAL * MOST_STRETCH / CALM_STRETCH, abs=0.2)


def test_the_pace_comes_back_when_there_is_room(asking: Asking) -> None:
    asking.passes(60, share=1.0)
    asking.passes(300, share=0.05)

    assert asking.pace.stretch == 1


def test_all_replicas_of_a_calm_service_are_asked_now_and_then(asking: Asking) -> None:
    asking.passes(20, share=0.5)
    replicas = [replace(IDLE, replica=str(number)) for number in range(500)]
    asking.asks(KEY, *replicas)
    asking.asks(KEY, *replicas)
    whole_at = asking.now
    while asking.pace.is_glance(KEY, asking.now):
        asking.pace.glanced(KEY, asking.now)
        asking.now += asking.rests(KEY)

    assert 2 * INTERVAL < asking.now - whole_at < LONGEST_WHOLE_SECONDS + INTERVAL * CALM_STRETCH


def test_a_clock_that_went_back_holds_up_nobody(asking: Asking) -> None:
    asking.passes(60, share=1.0)
    asking.asks(KEY, IDLE)
    asking.asks(KEY, IDLE)

    assert asking.pace.is_due(KEY, asking.now - 3600)
    assert not asking.pace.is_glance(KEY, asking.now - 3600)


def test_a_calm_service_is_asked_at_once_after_a_change_of_its_manifest(asking: Asking) -> None:
    asking.passes(60, share=1.0)
    for _ in range(2):
        asking.pace.asked(KEY, asking.now, (IDLE,), calm=True, generation=1)
    assert not asking.pace.is_due(KEY, asking.now, 1)

    assert asking.pace.is_due(KEY, asking.now, 2)
    assert not asking.pace.is_glance(KEY, asking.now), "all replicas"


def test_a_clock_that_went_back_keeps_no_pace(asking: Asking) -> None:
    asking.passes(60, share=1.0)
    asking.now -= 3600

    asking.passes(300, share=0.05)

    assert asking.pace.stretch == 1


def test_a_service_that_went_while_it_was_asked_is_no_error(asking: Asking) -> None:
    asking.asks(KEY, IDLE)
    asking.pace.keep(())

    asking.pace.glanced(KEY, asking.now)

    assert asking.pace.is_due(KEY, asking.now)


def test_of_a_service_that_is_gone_nothing_is_kept(asking: Asking) -> None:
    asking.passes(60, share=1.0)
    asking.asks(KEY, IDLE)
    asking.pace.keep({OTHER})

    assert asking.pace.is_due(KEY, asking.now)


@pytest.mark.parametrize(
    "changed",
    [
        {"waiting": 1},
        {"waiting": None},
        {"in_use": 1},
        {"blocked": 1},
        {"next_due_seconds": 5.0},
        {"draining": True},
        {"open_circuits": frozenset({"agent"})},
    ],
)
def test_any_sign_of_work_or_trouble_is_one(changed: dict[str, object]) -> None:
    assert has_no_work(IDLE)
    assert not has_no_work(replace(IDLE, **changed))  # type: ignore[arg-type]


POLICY = Policy(min_replicas=1, max_replicas=5)
SEEN = Observation(at=0.0, samples=(IDLE,), ready=1)
STEADY = Decision(1, "", "Steady", {}, None, Memory())


def calm(
    observation: Observation = SEEN, decision: Decision = STEADY, live: int = 1, policy: Policy = POLICY
) -> bool:
    return is_calm(policy, observation, decision, live, is_auto=True)


def test_a_service_is_calm_with_the_fewest_replicas_and_all_of_them_idle() -> None:
    assert calm()


@pytest.mark.parametrize(
    "seen",
    [
        replace(SEEN, samples=()),
        replace(SEEN, ready=2),
        replace(SEEN, starting=1),
        replace(SEEN, draining=1),
        replace(SEEN, failed=1),
        replace(SEEN, silent=1),
        replace(SEEN, samples=(replace(IDLE, in_use=2),)),
    ],
)
def test_a_service_that_is_not_whole_or_works_is_not_calm(seen: Observation) -> None:
    assert not calm(seen)


def test_a_service_that_may_get_fewer_or_more_replicas_is_not_calm() -> None:
    two = replace(SEEN, samples=(IDLE, replace(IDLE, replica="b")), ready=2)
    decided = replace(STEADY, replicas=2)

    assert not calm(two, decided, live=2)
    assert not calm(decision=decided)
    assert not calm(live=0)
    assert not calm(policy=replace(POLICY, predict=True))
    assert is_calm(POLICY, two, decided, 2, is_auto=False)
