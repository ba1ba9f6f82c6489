"""The answer cache: a run with the same question as an earlier run gets the same answer, without executing
its graph.

It is used only for graphs whose author wants it, and only for the first run of a thread, if that has an
input. Otherwise the run is like any other: its thread has a state and checkpoints, its events are sent, and
its record says that the answer was cached. If anything fails here, the graph runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final, NamedTuple

from langgraph.checkpoint.base import CheckpointTuple

from lgs_runtime.cache.found import Life
from lgs_runtime.cache.keys import UncacheableArgument, canonical
from lgs_runtime.cache.manager import CacheManager
from lgs_runtime.cache.place import Place
from lgs_runtime.graphs.schemas import Graph
from lgs_runtime.model import Run
from lgs_runtime.run_kwargs import RunKwargs
from lgs_runtime.tracebacks import named_text
from lgs_runtime.worker.answer_graph import answer_in, answering_graph, not_cacheable

HIT: Final = "hit"
NAMESPACE: Final = "(answer)"
"""Namespace of a graph's answers in the cache and its counts; unlike a node's name, it has brackets."""
MESSAGES: Final = ("human", "user", "ai", "assistant", "system", "developer", "tool", "function", "chat")
"""Values of `type` or `role` that identify a message."""
OF_A_LOGIN: Final = frozenset(
    ("exp", "iat", "nbf", "jti", "auth_time", "nonce", "at_hash", "c_hash", "sid", "session_state")
)
"""Claims of a token (RFC 7519, OpenID Connect) that differ between logins of the same user."""
MOST_PARTS: Final = 10_000
"""Most values in a cacheable question; computing the key of more would occupy the event loop for longer than
an answer is worth."""


class Question(NamedTuple):
    """A run's question to a graph, and where its answer is kept. `since`: how often the cache had been
    cleared when the question was asked."""

    place: Place
    graph_id: str
    graph: Graph
    since: int


class Answer(NamedTuple):
    """A graph that returns the answer when it runs, and the state that it ends with."""

    graph: Graph
    values: Mapping[str, Any]


class AnswerCache:
    """The cached answers of one replica's graphs."""

    def __init__(self, ttls: Mapping[str, float], manager: CacheManager, revision: str = "") -> None:
        """`ttls`: seconds for which answers are kept, by graph; those of other graphs are not kept."""
        self._ttls = ttls
        self._manager = manager
        self._revision = revision
        self._graphs: dict[tuple[str, str], tuple[Graph, Graph]] = {}

    def question(self, graph_id: str, graph: Graph, run: Run, kwargs: RunKwargs) -> Question | None:
        """The question of this run; None if its answer can't be shared with other runs."""
        if graph_id not in self._ttls or not may_be_cached(kwargs):
            return None
        namespace = f"{graph_id}/{NAMESPACE}"
        if (reason := not_cacheable(graph)) is not None:
            self._manager.unstorable(namespace, reason)
            return None
        if has_more_parts(kwargs, MOST_PARTS):
            self._manager.unstorable(namespace, f"a question of more than {MOST_PARTS} parts")
            return None
        try:
            said = canonical(asked(kwargs), namespace)
        except UncacheableArgument as refused:
            self._manager.statistics.failed(namespace, "cache.no_key", str(refused))
            return None
        place = self._manager.place(namespace, self._revision, graph_id, run.assistant_id, said)
        return Question(place, graph_id, graph, self._manager.cleared.times)

    async def find(self, question: Question) -> Answer | None:
        """The cached answer; None if there is none that can be used."""
        place = question.place
        if (found := (await self._manager.read([place])).get(place)) is None:
            return None
        try:
            return Answer(self._answering(question, found.value["node"]), dict(found.value["values"]))
        # The cached value has another shape, or the answering graph can't be built: the original graph runs.
        except Exception as failed:  # noqa: BLE001
            self._manager.statistics.failed(place.namespace, "cache.answer_unusable", named_text(failed))
            return None

    async def keep(self, question: Question, latest: CheckpointTuple | None) -> None:
        """Caches the state of the checkpoint that a run ended with, unless answers were cleared since it
        began."""
        if latest is not None:
            kept = answer_in(question.graph, latest.checkpoint)  # type: ignore[arg-type]
            life = Life(self._ttls[question.graph_id])
            await self._manager.write([(question.place, kept, life)], since=question.since)

    def _answering(self, question: Question, node: str) -> Graph:
        graph_id, graph = question.graph_id, question.graph
        known = self._graphs.get((graph_id, node))
        if known is not None and known[0] is graph:
            return known[1]
        made = answering_graph(graph, node)  # type: ignore[arg-type]
        # A factory makes a new graph for each run: only the latest is kept.
        self._graphs[graph_id, node] = graph, made
        return made


def may_be_cached(kwargs: RunKwargs) -> bool:
    """Whether a run is a plain question: no command, no fork, no stop before its end, and not started by a
    cron, which asks again and again."""
    scheduled = "cron_id" in (kwargs.config.get("configurable") or {})
    stops = kwargs.interrupt_before or kwargs.interrupt_after
    return kwargs.input is not None and not (kwargs.command or kwargs.checkpoint or stops or scheduled)


def asked(kwargs: RunKwargs) -> Mapping[str, Any]:
    """Everything that distinguishes a question from others to its graph: input, configuration and user."""
    user = kwargs.user
    return {
        "input": without_ids(kwargs.input),
        # When LangGraph streams a model through protocol v2, it stores its message in another form.
        "protocol": kwargs.speaks_protocol,
        "configurable": kwargs.config.get("configurable") or {},
        "context": kwargs.context or {},
        "sealed": kwargs.encryption_context or {},
        "user": None if user is None else without_login(user),
    }


def without_login(user: Mapping[str, Any]) -> Mapping[str, Any]:
    """The user, with everything that the service's authentication says of them, such as a tenant or a role,
    as the graph's answer may depend on it. Leaves out what belongs to a login, which would make each login
    another user."""
    return {**_lasting(user), "permissions": sorted(map(str, user.get("permissions") or ()))}


def _lasting(claims: Mapping[str, Any]) -> Mapping[str, Any]:
    return {
        name: _lasting(value) if isinstance(value, Mapping) else value
        for name, value in claims.items()
        if name not in OF_A_LOGIN and not name.endswith("token")
    }


def without_ids(value: Any) -> Any:
    """An input without the ids of its messages, which clients generate anew each time. Ids that occur several
    times stay: by these, one message replaces or removes another."""
    return _without_ids(value, Counter(_ids(value)))


def _ids(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        if isinstance(named := value.get("id"), str):
            yield named
        value = value.values()
    elif not isinstance(value, list):
        return
    for each in value:
        yield from _ids(each)


def _without_ids(value: Any, times: Mapping[str, int]) -> Any:
    if isinstance(value, list):
        return [_without_ids(each, times) for each in value]
    if not isinstance(value, Mapping):
        return value
    # Other objects may have a type, a content and an id too, and the id may be part of the question.
    is_message = "content" in value and any(value.get(said) in MESSAGES for said in ("type", "role"))
    named = value.get("id")
    without = is_message and not (isinstance(named, str) and times[named] > 1)
    return {name: _without_ids(each, times) for name, each in value.items() if not (without and name == "id")}


def has_more_parts(kwargs: RunKwargs, most: int) -> bool:
    """Whether input, `configurable` and context of a run have more than `most` values; counts no further."""
    rest: list[Any] = [kwargs.input, kwargs.config.get("configurable"), kwargs.context]
    while rest:
        each = rest.pop()
        # The context may have been converted to an object of the graph's schema.
        held = each if isinstance(each, Mapping) else getattr(each, "__dict__", {})
        parts: Collection[Any] = each if isinstance(each, list) else held.values()
        most -= len(parts)
        if most < 0:
            return True
        rest.extend(parts)
    return False
