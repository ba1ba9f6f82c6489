"""`LGS_ANSWER_CACHE`: the graphs whose answers are cached, in JSON as `spec.cache.answers` of a manifest says
it. What breaks a rule is a `ConfigError` in the words `name: value: rule`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from lgs_runtime.checks import checked_object, checked_positive, json_of

VARIABLE: Final = "LGS_ANSWER_CACHE"
LONGEST_SECONDS: Final = 31536000.0


def parse_answers(text: str, graphs: Collection[str], ttl_seconds: float) -> Mapping[str, float]:
    """For how many seconds the answers of each graph are kept; `ttl_seconds` where a graph says nothing, and
    no graph without the variable. Raises `ConfigError`."""
    if not text:
        return {}
    found = {}
    for graph, own in checked_object(json_of(text, VARIABLE), graphs, VARIABLE).items():
        where = f"{VARIABLE}.{graph}"
        given = checked_object(own, ("ttlSeconds",), where).get("ttlSeconds")
        found[graph] = checked_positive(given, f"{where}.ttlSeconds", LONGEST_SECONDS) or ttl_seconds
    return found
