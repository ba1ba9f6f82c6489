"""A circuit breaker for what a graph calls: a model, a search, a tool's API.

    from lgs_runtime.breaker import CircuitBreaker

    model_calls = CircuitBreaker("model", failure_threshold=0.1, recovery_timeout=30)

    @model_calls
    async def ask(question): ...

Nothing needs to run for it. In a replica its state is in `/metrics`, and with a Redis the replicas of a
service share it. `docs/circuit-breaker.md` is its manual.
"""

from __future__ import annotations

from lgs_runtime.breaker.breaker import CircuitBreaker
from lgs_runtime.breaker.refusals import BulkheadFull, CallRefused, CircuitOpen

__all__ = ["BulkheadFull", "CallRefused", "CircuitBreaker", "CircuitOpen"]
