"""The work queue: each service by itself, whatever one of them does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from lgs_operator.backoff import Backoff
from lgs_operator.kube.client import KubeError
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
