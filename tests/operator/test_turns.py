"""One tenant's load on the operator is not another's wait: namespaces take turns, at work and at scrapes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import pytest

from lgs_operator.kube.kinds import ServiceKey
from lgs_operator.kube.workqueue import WorkQueue
from lgs_operator.turns import FairSlots, Turns
from support.ports import PATIENCE_SECONDS
from support.work_queues import played

QUIET = ServiceKey("quiet", "support")
NOISY = [ServiceKey("noisy", f"s{number}") for number in range(300)]


def test_groups_take_turns_however_much_each_has_waiting() -> None:
    turns: Turns[int] = Turns(most_of_one=100)
    for number in range(50):
        turns.put("noisy", number)
    turns.put("quiet", 0)
    turns.put("third", 0)

    first = [turns.take() for _ in range(6)]

    assert first == [("noisy", 0), ("quiet", 0), ("third", 0), ("noisy", 1), ("noisy", 2), ("noisy", 3)]


def test_one_group_leaves_room_for_others() -> None:
    turns: Turns[int] = Turns(most_of_one=2)
    for number in range(5):
        turns.put("noisy", number)

    begun = [turns.take() for _ in range(3)]
    turns.put("quiet", 0)

    assert begun == [("noisy", 0), ("noisy", 1), None]
    assert turns.take() == ("quiet", 0)
    turns.done("noisy")
    assert turns.take() == ("noisy", 2)


class Reconciler:
    """Counts what is reconciled; what is in `slow` is not ended until it is let go."""

    def __init__(self, *, slow: frozenset[str]) -> None:
        self.slow = slow
        self.let_go = asyncio.Event()
        self.begun: list[ServiceKey] = []
        self.changed = asyncio.Event()

    async def reconcile(self, key: ServiceKey) -> float | None:
        self.begun.append(key)
        self.changed.set()
        if key.namespace in self.slow:
            await self.let_go.wait()
        await asyncio.sleep(0)
        return None

    async def crashed(self, key: ServiceKey, error: Exception) -> None:
        raise error

    async def until(self, what: Callable[[], bool]) -> None:
        while not what():
            self.changed.clear()
            await self.changed.wait()


async def test_hundreds_of_services_that_change_all_the_time_starve_no_other_namespace() -> None:
    reconciler = Reconciler(slow=frozenset())

    async def story(queue: WorkQueue) -> None:
        for key in NOISY:
            queue.add(key)
        await reconciler.until(lambda: len(reconciler.begun) >= 16)

        before = len(reconciler.begun)
        queue.add(QUIET)
        await reconciler.until(lambda: QUIET in reconciler.begun)

        assert reconciler.begun.index(QUIET) - before < 16, "it waited behind the others' hundreds"

    await played(reconciler, story)


async def test_a_namespace_whose_services_are_slow_to_look_at_holds_up_no_other() -> None:
    reconciler = Reconciler(slow=frozenset({"noisy"}))

    async def story(queue: WorkQueue) -> None:
        for key in NOISY:
            queue.add(key)
        await reconciler.until(lambda: len(reconciler.begun) >= 6)

        queue.add(QUIET)
        await reconciler.until(lambda: QUIET in reconciler.begun)

        reconciler.let_go.set()
        await reconciler.until(lambda: len(reconciler.begun) == len(NOISY) + 1)

    await played(reconciler, story)


async def test_replicas_that_do_not_answer_take_no_place_from_those_of_other_namespaces() -> None:
    slots, asked = FairSlots(total=4, most_of_one=2), asyncio.Event()

    async def silent() -> None:
        async with slots.slot("noisy"):
            await asyncio.Event().wait()

    async def prompt() -> None:
        async with slots.slot("quiet"):
            asked.set()

    tasks = [asyncio.create_task(silent()) for _ in range(100)]
    await asyncio.sleep(0)
    tasks.append(asyncio.create_task(prompt()))

    async with asyncio.timeout(PATIENCE_SECONDS):
        await asked.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        async with slots.slot("noisy"), slots.slot("noisy"), slots.slot("quiet"), slots.slot("quiet"):
            pass  # all of them were given back


async def test_of_many_that_wait_for_their_turn_few_are_tasks_and_their_results_are_in_order() -> None:
    slots, others = FairSlots(total=4, most_of_one=2), asyncio.all_tasks()
    most = 0

    async def numbered(number: int) -> int:
        nonlocal most
        await asyncio.sleep(0)
        most = max(most, len(asyncio.all_tasks() - others))
        return number

    async with asyncio.timeout(PATIENCE_SECONDS):
        found = await slots.all("noisy", (partial(numbered, each) for each in range(1000)))

    assert found == list(range(1000))
    assert most <= 2
    await all_are_free(slots)


@pytest.mark.parametrize("how", ["fails", "is cancelled"])
async def test_all_slots_are_given_back_when_one_of_many_fails_or_nobody_waits_any_more(how: str) -> None:
    slots, begun = FairSlots(total=4, most_of_one=2), asyncio.Event()

    async def work(number: int) -> None:
        begun.set()
        if how == "fails" and number == 1:
            raise ValueError("this one")
        await asyncio.Event().wait()

    asking = asyncio.create_task(slots.all("noisy", (partial(work, each) for each in range(9))))
    async with asyncio.timeout(PATIENCE_SECONDS):
        await begun.wait()
        if how == "fails":
            with pytest.raises(ValueError, match="this one"):
                await asking
        else:
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
        await all_are_free(slots)


async def all_are_free(slots: FairSlots) -> None:
    """Takes all four slots, two of each namespace."""
    async with slots.slot("noisy"), slots.slot("noisy"), slots.slot("quiet"), slots.slot("quiet"):
        pass
