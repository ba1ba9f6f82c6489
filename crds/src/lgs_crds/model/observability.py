"""`spec.observability`: what the service tells of its runs, and to whom."""

from __future__ import annotations

from pydantic import Field

from lgs_crds.model.base import Part
from lgs_crds.texts import CollectorAddress, Key, Name


class HeadersSecret(Part):
    """A key of a Secret that holds headers: `name=value`, with commas between several and the values
    percent-encoded."""

    name: Name = Field(description="Name of the Secret.")
    key: Key = Field(default="headers", description="Key of the Secret.")


class Tracing(Part):
    """Traces of runs for OpenTelemetry: one a run, across replicas and attempts."""

    endpoint: CollectorAddress = Field(
        description="Where spans are sent by OTLP over HTTP, such as http://collector.monitoring:4318; "
        "/v1/traces is added."
    )
    headers_secret: HeadersSecret | None = Field(
        default=None, description="Headers that are sent with the spans, such as a key. Not set: none."
    )
    sample_ratio: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="Share of the runs that are traced, where the client's traceparent does not decide it.",
    )
    redact: bool = Field(
        default=True, description="What messages, prompts, tools and errors say is left out of the spans."
    )


class Observability(Part):
    """What the service tells of its runs."""

    tracing: Tracing | None = Field(default=None, description="Traces of runs. Not set: none.")
