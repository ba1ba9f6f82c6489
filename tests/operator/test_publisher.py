"""A status that could not be written is written later: nothing that was seen is lost."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from lgs_operator.kube.client import KubeClient
from lgs_operator.kube.errors import KubeError
from lgs_operator.kube.kinds import ServiceKey
from lgs_operator.status.publisher import Publisher

KEY = ServiceKey("team", "support")
BODY = {"metadata": {"uid": "u-1"}}


class Refusing(KubeClient):
    """Fails as often as it is set to."""

    def __init__(self, *errors: KubeError) -> None:
        self.errors = list(errors)
        self.written: list[dict[str, Any]] = []

    async def patch_status(self, *given: Any) -> None:
        if self.errors:
            raise self.errors.pop()
        self.written.append(given[-1][-1]["value"])


@pytest.mark.parametrize("status", [0, 409, 429, 500, 503])
async def test_a_write_that_failed_is_for_the_caller_to_try_again(status: int) -> None:
    cluster = Refusing(KubeError(status, "Fault", "of the tests"))
    publisher = Publisher(cluster)

    with pytest.raises(KubeError):
        await publisher.publish(KEY, BODY, {"replicas": 1})

    assert await publisher.publish(KEY, BODY, {"replicas": 1})
    assert not await publisher.publish(KEY, BODY, {"replicas": 1})
    assert cluster.written == [{"replicas": 1}]


async def test_a_service_that_is_gone_needs_no_status() -> None:
    publisher = Publisher(Refusing(KubeError(404, "NotFound", "")))

    assert not await publisher.publish(KEY, BODY, {"replicas": 1})


class Slow(Refusing):
    """What it writes can be read before it answers."""

    def __init__(self) -> None:
        super().__init__()
        self.is_written, self.answers = asyncio.Event(), asyncio.Event()

    async def patch_status(self, *given: Any) -> None:
        await super().patch_status(*given)
        self.is_written.set()
        await self.answers.wait()


async def test_what_others_can_have_read_of_the_status_is_known_once_it_is_settled() -> None:
    cluster = Slow()
    publisher = Publisher(cluster)
    writes = asyncio.create_task(publisher.publish(KEY, BODY, {"replicas": 1}))
    await cluster.is_written.wait()

    settles = asyncio.create_task(publisher.settled(KEY))
    await asyncio.sleep(0)
    assert (settles.done(), publisher.current(KEY, BODY)) == (False, {})
    cluster.answers.set()
    await settles

    assert publisher.current(KEY, BODY) == {"replicas": 1}
    assert await writes
