"""The work queue: each service by itself, whatever one of them does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from lgs_operator.backoff import Backoff
from lgs_operator.kube.errors import KubeError
from lgs_operator.kube.kinds import ServiceKey
from lgs_operator.kube.workqueue import WorkQueue
from support.work_queues import played

BAD, GOOD = ServiceKey("team", "bad"), ServiceKey("team", "good")


class Seen:
    """What was reconciled, and which errors were reported."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.reconciled: list[ServiceKey] = []
        self.crashes: list[tuple[ServiceKey, Exception]] = []
        self.changed = asyncio.Event()

    async def reconcile(self, key: ServiceKey) -> float | None:
        self.reconciled.append(key)
        self.changed.set()
        if key == BAD:
            raise self.error
        return None

    async def crashed(self, key: ServiceKey, error: Exception) -> None:
        self.crashes.append((key, error))

    async def until(self, what: Callable[[], bool]) -> None:
        while not what():
            self.changed.clear()
            await self.changed.wait()


@pytest.mark.parametrize(
    "error", [TypeError("unhashable"), RecursionError(), KeyError("x"), ValueError("bad")]
)
async def test_an_error_that_nobody_expected_is_that_of_its_service(error: Exception) -> None:
    seen = Seen(error)

    async def story(queue: WorkQueue) -> None:
        queue.add(BAD)
        await seen.until(lambda: seen.reconciled.count(BAD) >= 2)
        queue.add(GOOD)
        await seen.until(lambda: GOOD in seen.reconciled)

    await played(seen, story)

    assert (BAD, error) in seen.crashes
    assert all(key == BAD for key, _ in seen.crashes)


@pytest.mark.parametrize("status", [0, 401, 409, 429, 500, 503])
async def test_what_the_api_server_refuses_is_tried_again_and_no_crash(status: int) -> None:
    seen = Seen(KubeError(status, "Unavailable", "not now"))

    async def story(queue: WorkQueue) -> None:
        queue.add(BAD)
        await seen.until(lambda: seen.reconciled.count(BAD) >= 2)

    await played(seen, story)

    assert seen.crashes == []


@pytest.mark.parametrize("status", [400, 403, 404, 422])
async def test_what_the_api_server_will_go_on_refusing_is_told_and_tried_again(status: int) -> None:
    refusal = KubeError(status, "Forbidden", "secrets are not yours")
    seen = Seen(refusal)

    async def story(queue: WorkQueue) -> None:
        queue.add(BAD)
        await seen.until(lambda: seen.reconciled.count(BAD) >= 2)

    await played(seen, story)

    assert (BAD, refusal) in seen.crashes


async def test_a_service_that_went_well_begins_with_the_shortest_pause_again() -> None:
    class Mended(Seen):
        """Fails, goes well, fails."""

        async def reconcile(self, key: ServiceKey) -> float | None:
            self.reconciled.append(key)
            self.changed.set()
            if len(self.reconciled) in (1, 3):
                raise self.error
            return None

    seen = Mended(KubeError(503, "Unavailable", "not now"))

    async def story(queue: WorkQueue) -> None:
        for times in (1, 2, 3, 4):
            queue.add(BAD)
            await seen.until(lambda times=times: len(seen.reconciled) >= times)  # type: ignore[misc]

    with capture_logs() as logged:
        await played(seen, story)

    pauses = [line["retry"] for line in logged if line["event"] == "reconcile.failed"]
    assert pauses == [pytest.approx(0.5, rel=0.1)] * 2


def test_pauses_double_up_to_a_bound_and_differ_by_chance() -> None:
    backoff = Backoff(first_seconds=0.5, longest_seconds=60.0)

    even = [backoff.pause(failures, lambda: 0.5) for failures in (1, 2, 3, 8, 500)]

    assert even == [0.5, 1.0, 2.0, 60.0, 60.0]
    assert backoff.pause(2, lambda: 0.0) == pytest.approx(0.9)
    assert backoff.pause(2, lambda: 1.0) == pytest.approx(1.1)


class Slow(Seen):
    """Is at work until it is let go on; `again` are the pauses that it asks for."""

    def __init__(self, *again: float) -> None:
        super().__init__(KubeError(503, "Unavailable", "not now"))
        self.go_on = asyncio.Event()
        self.again = list(again)
        self.under_way = self.most_under_way = 0

    async def reconcile(self, key: ServiceKey) -> float | None:
        self.reconciled.append(key)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        self.changed.set()
        await self.go_on.wait()
        self.under_way -= 1
        return self.again.pop(0) if self.again else None


async def test_a_service_that_changes_while_it_is_reconciled_is_reconciled_once_more_afterwards() -> None:
    seen = Slow()

    async def story(queue: WorkQueue) -> None:
        queue.add(GOOD)
        await seen.until(lambda: seen.reconciled == [GOOD])
        queue.add(GOOD)
        queue.add(GOOD)
        for _ in range(5):
            await asyncio.sleep(0)
        seen.go_on.set()
        await seen.until(lambda: seen.reconciled == [GOOD, GOOD])
        queue.add(BAD)
        await seen.until(lambda: BAD in seen.reconciled)

    await played(seen, story)

    assert seen.reconciled == [GOOD, GOOD, BAD]
    assert seen.most_under_way == 1


async def test_a_service_waits_once_however_often_it_is_added() -> None:
    seen = Slow()
    seen.go_on.set()

    async def story(queue: WorkQueue) -> None:
        for _ in range(3):
            queue.add(GOOD)
        waiting.append(len(queue))
        queue.add(BAD)
        await seen.until(lambda: BAD in seen.reconciled)

    waiting: list[int] = []
    await played(seen, story)

    assert waiting == [1]
    assert seen.reconciled == [GOOD, BAD]


async def test_a_service_comes_again_when_it_wants_to_and_sooner_if_it_is_wanted_sooner() -> None:
    seen = Slow(0.0)
    seen.go_on.set()

    async def story(queue: WorkQueue) -> None:
        queue.add_after(GOOD, 3600.0)
        queue.add_after(GOOD, 0.0)
        queue.add_after(GOOD, 3600.0)
        await seen.until(lambda: seen.reconciled == [GOOD, GOOD])

    await played(seen, story)


async def test_what_was_planned_for_later_is_not_done_after_it_was_done_or_the_service_is_gone() -> None:
    seen = Slow()
    seen.go_on.set()
    gone, last = ServiceKey("team", "gone"), ServiceKey("team", "last")

    async def story(queue: WorkQueue) -> None:
        queue.add_after(GOOD, 0.02)
        queue.add_after(GOOD, 0.01)
        queue.add(GOOD)
        queue.add_after(gone, 0.01)
        queue.forget(gone)
        queue.add_after(last, 0.03)
        await seen.until(lambda: last in seen.reconciled)

    await played(seen, story)

    assert seen.reconciled == [GOOD, last]


async def test_a_service_of_the_same_name_as_one_that_is_gone_begins_with_the_shortest_pause() -> None:
    seen = Seen(KubeError(503, "Unavailable", "not now"))

    async def story(queue: WorkQueue) -> None:
        for times in (1, 2, 3):
            queue.add(BAD)
            await seen.until(lambda times=times: len(seen.reconciled) >= times)  # type: ignore[misc]
            await asyncio.sleep(0)
            if times == 2:
                queue.forget(BAD)

    with capture_logs() as logged:
        await played(seen, story)

    pauses = [line["retry"] for line in logged if line["event"] == "reconcile.failed"]
    assert pauses[0] < pauses[1] > pauses[2]
