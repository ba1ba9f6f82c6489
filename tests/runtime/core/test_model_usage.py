"""Calls of models and their tokens: what is counted of a call, by LangChain's own callbacks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.language_models import FakeListLLM
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, Generation, LLMResult
from prometheus_client import CollectorRegistry

from lgs_runtime.cache.refresh_context import beside_the_call
from lgs_runtime.model_usage import MOST_PAIRS, ModelUsage, Tokens, _current, tokens_of
from lgs_runtime.series import LONGEST_LABEL

USED = {"input_tokens": 7, "output_tokens": 5, "total_tokens": 12, "input_token_details": {"cache_read": 4}}


class Stub(GenericFakeChatModel):
    """A model with a name."""

    model: str = "stub-1"


class Counted:
    """What a replica has counted."""

    def __init__(self) -> None:
        self.usage = ModelUsage()
        self.registry = CollectorRegistry()
        self.registry.register(self.usage)

    def calls(self, result: str = "success", graph: str = "agent", model: str = "stub-1") -> float | None:
        labels = {"graph": graph, "model": model, "result": result}
        return self.registry.get_sample_value("lgs_model_calls_total", labels)

    def tokens(self, direction: str, graph: str = "agent", model: str = "stub-1") -> float | None:
        labels = {"graph": graph, "model": model, "direction": direction}
        return self.registry.get_sample_value("lgs_model_tokens_total", labels)

    def cached(self) -> float | None:
        labels = {"graph": "agent", "model": "stub-1"}
        return self.registry.get_sample_value("lgs_model_cached_tokens_total", labels)


@pytest.fixture
def counted() -> Iterator[Counted]:
    """Of a task that runs the graph `agent`."""
    counted = Counted()
    counted.usage.follow("agent")
    yield counted
    _current.set(None)


def stub(usage: Any = USED, **options: Any) -> Stub:
    said = AIMessage("a b", usage_metadata=usage)
    return Stub(messages=iter([said] * 10), **options)


async def in_a_thread(model: Stub) -> None:
    await asyncio.to_thread(model.invoke, "?")


async def beside_a_run(model: Stub) -> None:
    await asyncio.create_task(model.ainvoke("?"), context=beside_the_call())


CALLS: dict[str, Callable[[Stub], Any]] = {
    "awaited": lambda model: model.ainvoke("?"),
    "in a thread": in_a_thread,
    "beside a run, for the cache": beside_a_run,
    "in a batch": lambda model: model.abatch(["?"]),
}


@pytest.mark.parametrize("way", CALLS)
async def test_a_call_is_counted_once_with_its_tokens_whichever_way_it_is_made(
    counted: Counted, way: str
) -> None:
    await CALLS[way](stub())

    assert counted.calls() == 1
    assert (counted.tokens("input"), counted.tokens("output"), counted.cached()) == (7, 5, 4)


async def test_a_call_that_is_streamed_and_one_that_fails_are_counted_too(counted: Counted) -> None:
    assert [part.content async for part in stub().astream("?") if part.content]
    with pytest.raises(RuntimeError):
        await Stub(messages=iter([])).ainvoke("?")

    assert counted.calls() == 1
    assert counted.calls("error") == 1


async def test_a_stream_that_is_cancelled_is_no_error_of_the_model_and_its_tokens_count(
    counted: Counted,
) -> None:
    """Some providers report the input with the first piece: who leaves early has spent it all the same."""
    started = asyncio.Event()
    at_first: Any = {"input_tokens": 7, "output_tokens": 0, "total_tokens": 7}
    noted: list[Any] = []
    counted.usage.note = lambda *call: noted.append(call)
    counted.usage.follow("agent", {"identity": "alice"})

    class Hangs(Stub):
        async def _astream(self, *_: Any, **__: Any) -> AsyncIterator[ChatGenerationChunk]:
            yield ChatGenerationChunk(message=AIMessageChunk("a", usage_metadata=at_first))
            started.set()
            await asyncio.Event().wait()

    async def follow() -> None:
        async for _ in Hangs(messages=iter([])).astream("?"):
            pass

    call = asyncio.create_task(follow())
    await started.wait()
    call.cancel()
    await asyncio.wait({call})

    assert counted.calls("cancelled") == 1
    assert counted.calls("error") is None
    assert counted.tokens("input") == 7
    assert noted == [("alice", "stub-1", 7, 0, 0)]


async def test_an_answer_of_langchains_cache_has_spent_no_token(counted: Counted) -> None:
    model = stub(cache=InMemoryCache())

    await model.ainvoke("?")
    await model.ainvoke("?")

    assert (counted.calls(), counted.calls("cached")) == (1, 1)
    assert counted.tokens("input") == 7


async def test_what_another_graph_calls_is_its_own(counted: Counted) -> None:
    async def other() -> None:
        counted.usage.follow("other")
        await stub().ainvoke("?")

    await asyncio.create_task(other())
    await stub().ainvoke("?")

    assert (counted.calls(), counted.calls(graph="other")) == (1, 1)


async def test_a_model_without_a_name_of_its_own_is_called_as_its_provider_does(counted: Counted) -> None:
    said = AIMessage("a", response_metadata={"model_name": "provider-9"})

    await GenericFakeChatModel(messages=iter([said])).ainvoke("?")
    FakeListLLM(responses=["a"]).invoke("?")

    assert counted.calls(model="provider-9") == 1
    assert counted.calls(model="unknown") == 1
    assert counted.tokens("input", model="unknown") is None


def test_hostile_names_of_models_stay_few_and_short() -> None:
    counted = Counted()

    for number in range(MOST_PAIRS + 50):
        counted.usage.ended("agent", f"m{number}", "success")
    counted.usage.ended("agent", "m1", "success")

    assert counted.calls(model="other") == 50
    assert counted.calls(model="m1") == 2
    assert len(models_of(counted.registry)) == MOST_PAIRS + 1


def models_of(registry: CollectorRegistry) -> set[str]:
    """The models that a page names."""
    samples = (sample for family in registry.collect() for sample in family.samples)
    return {sample.labels["model"] for sample in samples}


async def test_a_name_is_cut_at_a_length(counted: Counted) -> None:
    await stub(model="x" * 5000).ainvoke("?")

    assert counted.calls(model="x" * LONGEST_LABEL) == 1


@pytest.mark.parametrize("odd", [-1, True, "7", None, float("nan"), 2**60, [7]])
def test_what_is_no_number_of_tokens_counts_as_none(odd: Any) -> None:
    message = AIMessage("a")
    message.usage_metadata = {"input_tokens": odd, "output_tokens": 5, "input_token_details": odd}  # type: ignore[typeddict-item]

    found = tokens_of(LLMResult(generations=[[ChatGeneration(message=message)]]))

    assert found == Tokens(input=0, output=5)


def test_the_usage_of_a_call_with_several_answers_counts_once() -> None:
    """As models with `n=3` write it."""
    answers = [ChatGeneration(message=AIMessage(text, usage_metadata={**USED})) for text in "abc"]  # type: ignore[typeddict-item]

    assert tokens_of(LLMResult(generations=[answers])) == Tokens(7, 5, 4)


def test_a_completion_model_reports_for_all_its_prompts_at_once() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 2}

    told = LLMResult(generations=[[Generation(text="a")]], llm_output={"token_usage": usage})

    assert tokens_of(told) == Tokens(3, 2)
    assert tokens_of(LLMResult(generations=[[Generation(text="a")]])) is None
    assert tokens_of(LLMResult(generations=[])) is None
