"""A service at work, for tests of storages: short ways to say what happens to its runs."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from lgs_runtime.model import Assistant, Enqueued, NewRun, QueueLimits, Run
from lgs_runtime.storage import Lease, Storage

LIMITS = QueueLimits()


@dataclass
class Service:
    """A service at work: its storage as one replica sees it, an assistant, and short ways to say things."""

    storage: Storage
    assistant_id: str
    leases: dict[str, Lease] = field(default_factory=dict)

    async def replica(self, name: str = "r1") -> str:
        """A replica whose lease is taken."""
        self.leases[name] = await self.storage.leases.take(name)
        return name

    async def enqueue(
        self,
        thread_id: str | None = None,
        limits: QueueLimits = LIMITS,
        claim_for: str | None = None,
        **more: object,
    ) -> Enqueued:
        """Stores a run on a thread, by default a new one."""
        values: dict[str, object] = {
            "run_id": new_id(),
            "thread_id": thread_id or new_id(),
            "assistant_id": self.assistant_id,
            "kwargs": {"input": {"messages": ["hi"]}},
            "create_thread": True,
            **more,
        }
        return await self.storage.queue.enqueue(NewRun(**values), limits, claim_for)  # type: ignore[arg-type]

    async def running(self, thread_id: str | None = None, replica: str = "r1", **more: object) -> Run:
        """A run that `replica`, which has a lease, is executing."""
        await self.enqueue(thread_id, **more)
        (run,) = await self.storage.queue.claim(replica, 1)
        return run


@asynccontextmanager
async def at_work(storage: Storage) -> AsyncIterator[Service]:
    """A service with one assistant and no replica yet; the leases that are taken are given back."""
    now = await storage.now()
    assistant = Assistant(new_id(), "agent", "agent", None, {}, {}, {}, 1, now, now)
    await storage.assistants.create(assistant)
    service = Service(storage, assistant.assistant_id)
    yield service
    for leases in service.leases.values():
        await leases.close()


def new_id() -> str:
    """An id in the form the API makes them."""
    return str(uuid.uuid4())
