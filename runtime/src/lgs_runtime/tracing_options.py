"""Whether and which runs are traced, and where their spans go: read from OpenTelemetry's standard variables,
and our `LGS_TRACING_REDACT`.

Nothing is traced unless an endpoint is named (or `OTEL_TRACES_EXPORTER=otlp` is set, for the standard's
default endpoint). The SDK itself reads the other standard variables (`OTEL_SERVICE_NAME`,
`OTEL_RESOURCE_ATTRIBUTES`, certificates, limits).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, urlsplit

from lgs_runtime.errors import ConfigError
from lgs_runtime.variables import Variables

ENDPOINT: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
TRACES_ENDPOINT: Final = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
HEADERS: Final = "OTEL_EXPORTER_OTLP_HEADERS"
TRACES_HEADERS: Final = "OTEL_EXPORTER_OTLP_TRACES_HEADERS"
EXPORTER: Final = "OTEL_TRACES_EXPORTER"
PROTOCOL: Final = "OTEL_EXPORTER_OTLP_PROTOCOL"
TRACES_PROTOCOL: Final = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
SAMPLER: Final = "OTEL_TRACES_SAMPLER"
RATIO: Final = "OTEL_TRACES_SAMPLER_ARG"
REDACT: Final = "LGS_TRACING_REDACT"
DEFAULT_ENDPOINT: Final = "http://localhost:4318"
PATH: Final = "/v1/traces"
HTTP_PROTOBUF: Final = "http/protobuf"
SAMPLERS: Final = ("always_on", "always_off", "traceidratio")
PARENT_BASED: Final = "parentbased_"


@dataclass(frozen=True, slots=True)
class TracingOptions:
    """How runs are traced."""

    endpoint: str
    """URL that spans are posted to, with its path."""
    headers: tuple[tuple[str, str], ...] = ()
    """Headers sent with the spans; they may contain a key."""
    ratio: float = 1.0
    """Share of runs to trace, among those whose client has not decided it."""
    parent_based: bool = True
    """Whether a client's `traceparent` decides for its runs."""
    redact: bool = True
    """Whether the content of messages, prompts, tools and errors is left out."""
    queue: int = 2048
    """Most spans that wait to be sent; further ones are dropped."""
    delay_seconds: float = 5.0
    """How long spans are gathered before they are sent."""

    def __repr__(self) -> str:
        return f"TracingOptions({self.endpoint}, ratio={self.ratio:g}, redact={self.redact})"


def tracing_of(values: Variables) -> TracingOptions | None:
    """How runs are traced; None if they are not. Raises `ConfigError`."""
    redact = values.flag(REDACT, True)
    exporter = values.text(EXPORTER, "").lower()
    endpoint = _endpoint(values)
    if values.flag("OTEL_SDK_DISABLED", False) or exporter == "none" or (endpoint is None and not exporter):
        return None
    if exporter not in ("", "otlp"):
        raise ConfigError(f"{EXPORTER}: {exporter}: must be otlp or none")
    name = values.set_of(TRACES_PROTOCOL, PROTOCOL)
    if (protocol := values.text(name, HTTP_PROTOBUF)) != HTTP_PROTOBUF:
        raise ConfigError(f"{name}: {protocol}: must be {HTTP_PROTOBUF}: spans are sent by no other")
    parent_based, ratio = _sampling(values)
    return TracingOptions(
        endpoint=endpoint or DEFAULT_ENDPOINT + PATH,
        headers=_headers(values),
        ratio=ratio,
        parent_based=parent_based,
        redact=redact,
        queue=values.integer("OTEL_BSP_MAX_QUEUE_SIZE", 2048, at_least=1),
        delay_seconds=values.number("OTEL_BSP_SCHEDULE_DELAY", 5000.0, at_least=1.0) / 1000,
    )


def _endpoint(values: Variables) -> str | None:
    """The endpoint by OpenTelemetry's rule: the path of traces is appended to the endpoint of all signals,
    and the endpoint of traces is used unchanged."""
    name = values.set_of(TRACES_ENDPOINT, ENDPOINT)
    text = values.text(name, "")
    if not text:
        return None
    try:
        parts = urlsplit(text)
        wrong = parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0
    except ValueError:
        wrong = True
    if wrong:
        raise ConfigError(f"{name}: {text}: must be an address such as http://collector:4318")
    return text if name == TRACES_ENDPOINT else text.rstrip("/") + PATH


def _headers(values: Variables) -> tuple[tuple[str, str], ...]:
    """Headers as comma-separated `name=value` pairs, with percent-encoded values. Errors never show the
    invalid part, which may be a key."""
    name = values.set_of(TRACES_HEADERS, HEADERS)
    found: list[tuple[str, str]] = []
    for item in filter(None, (one.strip() for one in values.text(name, "").split(","))):
        key, equals, value = item.partition("=")
        key, value = key.strip().lower(), unquote(value.strip())
        if not equals or not key.isascii() or not key.replace("-", "").replace("_", "").isalnum():
            raise ConfigError(f"{name}: (not shown): must be name=value, with commas between several")
        if not value.isprintable() or not value.isascii():
            raise ConfigError(f"{name}: (not shown): the value of {key} must be printable ASCII")
        found.append((key, value))
    return tuple(found)


def _sampling(values: Variables) -> tuple[bool, float]:
    named = values.text(SAMPLER, f"{PARENT_BASED}always_on").lower()
    kind = named.removeprefix(PARENT_BASED)
    if kind not in SAMPLERS:
        known = ", ".join([*SAMPLERS, *(PARENT_BASED + each for each in SAMPLERS)])
        raise ConfigError(f"{SAMPLER}: {named}: must be one of {known}")
    ratio = values.number(RATIO, 1.0, at_least=0.0) if kind == "traceidratio" else float(kind == "always_on")
    if ratio > 1.0:
        raise ConfigError(f"{RATIO}: {ratio:g}: must be at most 1")
    return named != kind, ratio
