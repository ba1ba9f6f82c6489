"""Calls of models and their tokens, counted by graph and model at `/metrics`.

A callback counts them, which LangChain calls at the start and end of a call, never for each token. It is set
in the caller's context: a node need not pass its configuration on to its model, and calls that a cache makes
beside a run are counted too. Tokens are those that the model's provider reports in `usage_metadata`, or in
`token_usage` for a completion model; if it reports none, only the call is counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final, Literal
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.outputs import LLMResult
from langchain_core.tracers.context import register_configure_hook
from prometheus_client import Counter
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from lgs_runtime.model import Json
from lgs_runtime.series import FewLabels

MOST_PAIRS: Final = 100
"""How many pairs of graph and model are told apart; the model of any further pair is `other`."""
MOST_TOKENS: Final = 2**53
"""Largest plausible token count of one call; a larger number is ignored."""
NO_GRAPH: Final = ""
"""Graph id for calls that the cache makes ahead of time, for no run."""
UNKNOWN: Final = "unknown"
"""Model name when nobody named the model."""
Note = Callable[[str | None, str, float, float, float], None]
"""Takes the user, the model, its input and output tokens, and the input tokens that its provider had
cached."""
Result = Literal["success", "error", "cancelled", "cached"]
"""`cached`: the answer came from LangChain's own cache, and no token was spent. `cancelled`: cancelled in the
middle of a stream; LangChain does not report other calls that are cancelled."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens of one call. `cached_input` is the part of the input that the provider had in its cache."""

    input: int = 0
    output: int = 0
    cached_input: int = 0
    was_cached: bool = False
    """Whether the answer came from LangChain's own cache."""


class ModelUsage(Collector):
    """The counts of one replica. Thread-safe: a node may call its model from a thread of its own."""

    def __init__(self) -> None:
        of = ["graph", "model"]
        self._calls = Counter(
            "lgs_model_calls", "Calls of models by graphs, ended.", [*of, "result"], registry=None
        )
        self._tokens = Counter(
            "lgs_model_tokens", "Tokens that providers reported.", [*of, "direction"], registry=None
        )
        self._cached = Counter(
            "lgs_model_cached_tokens", "Input tokens that a provider had in its cache.", of, registry=None
        )
        self._pairs = FewLabels(MOST_PAIRS)
        self.note: Note | None = None
        """Called for each call whose tokens are known, if set."""

    def follow(self, graph_id: str, user: Json | None = None) -> None:
        """From now on, counts the model calls of the current task, and of all tasks that it starts, for this
        graph and user."""
        _current.set(_Calls(self, graph_id, user))

    def ended(
        self,
        graph_id: str,
        model: str,
        result: Result,
        tokens: Tokens | None = None,
        user: Json | None = None,
    ) -> None:
        """Counts a call that ended; `tokens` is None if none were reported."""
        pair = self._pairs.of(graph_id, model)
        self._calls.labels(*pair, result).inc()
        if tokens is None or result == "cached":
            return
        if self.note is not None:
            who = str(user["identity"]) if user else None
            self.note(who, model or UNKNOWN, tokens.input, tokens.output, tokens.cached_input)
        self._tokens.labels(*pair, "input").inc(tokens.input)
        self._tokens.labels(*pair, "output").inc(tokens.output)
        if tokens.cached_input:
            self._cached.labels(*pair).inc(tokens.cached_input)

    def collect(self) -> Iterable[Metric]:
        """The metrics; no series for a graph that has called no model."""
        for counter in (self._calls, self._tokens, self._cached):
            yield from counter.collect()


class _Calls(BaseCallbackHandler):
    """The callback of one attempt of a run. It ignores all events except those of models."""

    run_inline = True
    """Runs in the caller's thread: a thread for each call would come from those that nodes need."""
    ignore_chain = ignore_agent = ignore_retriever = ignore_retry = ignore_custom_event = True

    def __init__(self, usage: ModelUsage, graph_id: str, user: Json | None) -> None:
        self._usage = usage
        self._graph_id = graph_id
        self._user = user
        self._asked: dict[UUID, str] = {}
        """Model name that the graph asked for, by the id of each call that has not ended."""

    def on_chat_model_start(self, *_: Any, run_id: UUID, **kwargs: Any) -> None:
        """See LangChain's interface, also for the methods that follow."""
        self._asked[run_id] = _asked_for(kwargs)

    def on_llm_start(self, *_: Any, run_id: UUID, **kwargs: Any) -> None:
        self._asked[run_id] = _asked_for(kwargs)

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **_: Any) -> None:
        tokens, model = tokens_of(response), self._asked.pop(run_id, "") or _answered(response)
        was_cached = tokens is not None and tokens.was_cached
        self._usage.ended(self._graph_id, model, "cached" if was_cached else "success", tokens, self._user)

    def on_llm_error(
        self, error: BaseException, *, run_id: UUID, response: LLMResult | None = None, **_: Any
    ) -> None:
        # Tokens reported before the error are spent: some providers report the input with the first chunk.
        tokens, model = None if response is None else tokens_of(response), self._asked.pop(run_id, "")
        cancelled = isinstance(error, asyncio.CancelledError | GeneratorExit)
        self._usage.ended(self._graph_id, model, "cancelled" if cancelled else "error", tokens, self._user)


_current: ContextVar[_Calls | None] = ContextVar("calls_of_models", default=None)
register_configure_hook(_current, inheritable=False)


def tokens_of(response: LLMResult) -> Tokens | None:
    """The tokens that the provider reported for a call, all of its answers together; None if it reported
    none. LangChain's models write the usage of the whole call to each of several answers."""
    reported: list[Mapping[str, Any]] = []
    for each in chain.from_iterable(response.generations):
        usage = getattr(getattr(each, "message", None), "usage_metadata", None)
        if isinstance(usage, Mapping) and usage not in reported:
            reported.append(usage)
    if reported:
        return Tokens(
            sum(_count(usage, "input_tokens") for usage in reported),
            sum(_count(usage, "output_tokens") for usage in reported),
            sum(_count(usage.get("input_token_details"), "cache_read") for usage in reported),
            was_cached=all(usage.get("total_cost") == 0 for usage in reported),
        )
    completion = (response.llm_output or {}).get("token_usage")
    if isinstance(completion, Mapping) and completion:
        return Tokens(_count(completion, "prompt_tokens"), _count(completion, "completion_tokens"))
    return None


def _count(usage: object, name: str) -> int:
    """A number of tokens; 0 if the value is not a valid one."""
    found = usage.get(name) if isinstance(usage, Mapping) else None
    if not isinstance(found, int) or isinstance(found, bool):
        return 0
    return found if 0 <= found <= MOST_TOKENS else 0


def _asked_for(kwargs: Mapping[str, Any]) -> str:
    """The model's name as the graph asked for it; empty if its class has none."""
    parameters = kwargs.get("invocation_params") or {}
    named = (kwargs.get("metadata") or {}).get("ls_model_name")
    return _text(named) or _text(parameters.get("model")) or _text(parameters.get("model_name"))


def _answered(response: LLMResult) -> str:
    """The model's name as the provider reports it; empty if it reports none."""
    for candidates in response.generations:
        for each in candidates:
            told = getattr(getattr(each, "message", None), "response_metadata", None) or {}
            if name := _text(told.get("model_name")) or _text(told.get("model")):
                return name
    return _text((response.llm_output or {}).get("model_name"))


def _text(name: object) -> str:
    return name if isinstance(name, str) else ""
