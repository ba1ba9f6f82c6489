"""Circuits that replicas have in common, each replica with a clock of its own."""

from __future__ import annotations

import pytest

from lgs_runtime.breaker.circuit import Circuit
from lgs_runtime.breaker.policy import Policy
from lgs_runtime.breaker.redis_sharing import RedisSharing
from lgs_runtime.breaker.refusals import CircuitOpen
from lgs_runtime.breaker.state_machine import Phase, Result

POLICY = Policy(failure_threshold=0.5, minimum_calls=6, window_seconds=600, recovery_timeout=600, probes=2)


class SharingReplica:
    """One replica's circuit, and what shares it."""

    def __init__(self, uri: str, started_at: float, policy: Policy = POLICY, service: str = "shop") -> None:
        self.now = started_at
        self.circuit = Circuit("agent", policy, kind="graph", clock=lambda: self.now)
        self.sharing = RedisSharing.connect(uri, service, lambda: [self.circuit])

    def call(self, result: Result, times: int = 1) -> None:
        for _ in range(times):
            self.circuit.report(self.circuit.acquire(), result)

    @property
    def key(self) -> str:
        """Where Redis has it; other tests' services may have circuits of their own there."""
        return f"{self.sharing._prefix}{self.circuit.kind}:{self.circuit.name}"

    def refused_for(self) -> float:
        with pytest.raises(CircuitOpen) as refused:
            self.circuit.acquire()
        return refused.value.retry_after_seconds


async def exchange(*replicas: SharingReplica) -> None:
    """All have received what each has sent, and decided by that."""
    for _ in range(3):
        for replica in replicas:
            await replica.sharing.exchange()


def phases(*replicas: SharingReplica) -> set[Phase]:
    return {replica.circuit.phase for replica in replicas}


async def opened(*replicas: SharingReplica) -> None:
    replicas[0].call(Result.FAILURE, POLICY.minimum_calls)
    await exchange(*replicas)
    assert phases(*replicas) == {Phase.OPEN}
