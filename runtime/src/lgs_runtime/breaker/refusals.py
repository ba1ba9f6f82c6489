"""The exceptions of calls that were refused."""

from __future__ import annotations


class CallRefused(Exception):
    """A call that was not made. `circuit` is the name of the circuit that refused it."""

    def __init__(self, circuit: str, message: str) -> None:
        super().__init__(circuit, message)
        self.circuit = circuit
        self.message = message

    def __str__(self) -> str:
        return self.message


class CircuitOpen(CallRefused):
    """The circuit is open, or half-open with all of its probes under way."""

    def __init__(self, circuit: str, retry_after_seconds: float) -> None:
        super().__init__(
            circuit, f"circuit {circuit!r} is open: try again in {max(retry_after_seconds, 0.0):.3g} s"
        )
        self.args = (circuit, retry_after_seconds)
        self.retry_after_seconds = retry_after_seconds


class BulkheadFull(CallRefused):
    """The most calls allowed at a time are under way, and none ended while this one waited."""

    def __init__(self, circuit: str, limit: int, waited_seconds: float) -> None:
        waited = f" for {waited_seconds:g} s" if waited_seconds else ""
        super().__init__(circuit, f"circuit {circuit!r}: {limit} calls are under way{waited}: no more may be")
        self.args = (circuit, limit, waited_seconds)
        self.limit = limit
