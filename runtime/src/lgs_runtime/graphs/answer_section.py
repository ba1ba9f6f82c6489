"""`LGS_ANSWER_CACHE`: the graphs whose answers are cached, as JSON in the form of a manifest's
`spec.cache.answers`. A broken rule is a `ConfigError` with the message `name: value: rule`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from lgs_runtime.checks import Gathered, checked_positive, json_of

VARIABLE: Final = "LGS_ANSWER_CACHE"
LONGEST_SECONDS: Final = 31536000.0


def parse_answers(text: str, graphs: Collection[str], ttl_seconds: float) -> Mapping[str, float]:
    """Seconds for which the answers of each graph are kept: `ttl_seconds` if a graph does not say; empty
    without the variable. Raises `ConfigError`."""
    if not text:
        return {}
    found, seconds = Gathered(), {}
    for graph, own in found.entries(json_of(text, VARIABLE), graphs, VARIABLE).items():
        where = f"{VARIABLE}.{graph}"
        given = found.entries(own, ("ttlSeconds",), where).get("ttlSeconds")
        said = found.read(None, checked_positive, given, f"{where}.ttlSeconds", LONGEST_SECONDS)
        seconds[graph] = said or ttl_seconds
    found.done()
    return seconds
