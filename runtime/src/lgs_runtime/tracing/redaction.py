"""Which attributes of a span about a model, a tool or a node may leave the service when contents are
redacted: names, kinds, models, numbers of tokens. This is a list of what may, so that an attribute which a
later release adds is left out until somebody has looked at it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

KEPT: Final = frozenset(
    {
        "openinference.span.kind",
        "exception.type",
        "llm.model_name",
        "llm.provider",
        "llm.system",
        "llm.finish_reason",
        "embedding.model_name",
        "reranker.model_name",
        "reranker.top_k",
        "tool.name",
        "agent.name",
        "session.id",
        "gen_ai.agent.id",
        "gen_ai.agent.name",
        "gen_ai.conversation.id",
        "gen_ai.operation.name",
        "gen_ai.output.type",
        "gen_ai.provider.name",
        "gen_ai.system",
        "gen_ai.tool.name",
        "gen_ai.tool.type",
        "gen_ai.tool.call.id",
        "gen_ai.response.finish_reasons",
        "gen_ai.response.id",
        "gen_ai.response.model",
    }
)
KEPT_UNDER: Final = ("llm.token_count.", "llm.cost.", "gen_ai.usage.", "gen_ai.request.")
SAID: Final = frozenset({"gen_ai.request.stop_sequences"})
"""Attributes below the kept prefixes that hold contents all the same."""


def without_contents(attributes: Mapping[str, Any] | None) -> dict[str, Any]:
    """The attributes of a span, or of one of its events, that say nothing about contents."""
    return {name: value for name, value in (attributes or {}).items() if _kept(name)}


def _kept(name: str) -> bool:
    return name in KEPT or (name.startswith(KEPT_UNDER) and name not in SAID)
