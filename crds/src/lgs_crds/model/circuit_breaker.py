"""`spec.circuitBreaker`: a circuit breaker around each graph."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from lgs_crds.model.base import Part

ErrorName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_.]*$", max_length=253)]
Share = Annotated[float, Field(gt=0, le=1)]
WindowSeconds = Annotated[float, Field(gt=0, le=86400)]
MinimumCalls = Annotated[int, Field(ge=1, le=1000000)]
Probes = Annotated[int, Field(ge=1, le=1000)]


class GraphCircuitBreaker(Part):
    """What differs for one graph. Not set: as for the others."""

    failure_threshold: Share | None = Field(default=None, description="As in circuitBreaker.")
    minimum_calls: MinimumCalls | None = Field(default=None, description="As in circuitBreaker.")
    window_seconds: WindowSeconds | None = Field(
        default=None, description="As in circuitBreaker, in seconds."
    )
    recovery_seconds: WindowSeconds | None = Field(
        default=None, description="As in circuitBreaker, in seconds."
    )
    probes: Probes | None = Field(default=None, description="As in circuitBreaker.")
    slow_call_seconds: WindowSeconds | None = Field(
        default=None, description="As in circuitBreaker, in seconds."
    )
    slow_call_threshold: Share | None = Field(default=None, description="As in circuitBreaker.")
    ignore: list[ErrorName] | None = Field(
        default=None, max_length=100, description="As in circuitBreaker; it replaces what stands there."
    )


class CircuitBreaker(Part):
    """A circuit breaker around each graph: while too many of its runs fail, new ones are answered 503 and
    those that wait are kept."""

    failure_threshold: Share = Field(
        default=0.1,
        description="Share of a graph's runs (above 0, at most 1) that opens it when they failed.",
    )
    minimum_calls: MinimumCalls = Field(
        default=10, description="With fewer runs in the window nothing is decided."
    )
    window_seconds: WindowSeconds = Field(default=60, description="Seconds for which ended runs count.")
    recovery_seconds: WindowSeconds = Field(
        default=30, description="Seconds for which it stays open; then a few runs probe the graph."
    )
    probes: Probes = Field(default=3, description="Runs that probe it, and whose results decide.")
    slow_call_seconds: WindowSeconds | None = Field(
        default=None, description="A run that takes so many seconds is slow. Not set: time does not matter."
    )
    slow_call_threshold: Share = Field(
        default=0.5, description="Share of a graph's runs (above 0, at most 1) that opens it when slow."
    )
    ignore: list[ErrorName] = Field(
        default_factory=list,
        max_length=100,
        description="Exceptions by which a run fails through no fault of its graph, such as a user's bad "
        "input: names of classes, with their module or without.",
    )
    graphs: dict[str, GraphCircuitBreaker] = Field(
        default_factory=dict, max_length=100, description="What differs for one graph, by its id."
    )
