"""A chat model that needs no key and no network, for laptops, tests and load: as slow as a real one, word by
word, and the same answer for the same question.

It does what the prompts of this service ask for, with what stands in them: it says which of the examples a
message is most like, and answers from the sentences of the passages. It has no other knowledge.
"""

from __future__ import annotations

import asyncio
import math
import os
import random
import re
import time
import zlib
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from anger import is_outburst
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from model_faults import FaultFile
from model_times import note
from pydantic import ConfigDict, Field
from ranking import Ranking, best, sentences, terms

FIRST_SECONDS, FIRST_SPREAD = 0.45, 0.35
"""The time to the first word: the median, and the sigma of its logarithm."""
WORD_SECONDS, WORD_SPREAD = 0.022, 0.5
"""The same of the pauses between words: some 45 words a second, as small hosted models write."""
SURE = 0.1
"""The least coverage of a message by an example that counts as being alike."""
SAYS_IT = 0.25
"""The least coverage of a question in a message by a sentence that answers it."""
MOST_SENTENCES = 3


class ModelUnavailable(ConnectionError):
    """The model does not answer."""


@dataclass(frozen=True)
class Rhythm:
    """When the words of an answer come, in seconds."""

    first: float
    pauses: Sequence[float]

    @property
    def whole(self) -> float:
        """The time for all of it."""
        return self.first + sum(self.pauses)


def rhythm(prompt: str, words: int, factor: float) -> Rhythm:
    """The rhythm of an answer of so many words; always the same for the same prompt."""
    drawn = random.Random(zlib.crc32(prompt.encode()))
    first = FIRST_SECONDS * math.exp(drawn.gauss(0, FIRST_SPREAD))
    pauses = [WORD_SECONDS * math.exp(drawn.gauss(0, WORD_SPREAD)) for _ in range(max(0, words - 1))]
    return Rhythm(first * factor, [pause * factor for pause in pauses])


class LocalChatModel(BaseChatModel):
    """The model."""

    latency: float = Field(default_factory=lambda: float(os.environ.get("CUSTOMER_SERVICE_LATENCY", "1")))
    """A factor of all times; 0 answers at once."""
    faults: FaultFile = Field(default_factory=FaultFile, exclude=True)

    model_config = ConfigDict(arbitrary_types_allowed=True)

    @property
    def _llm_type(self) -> str:
        return "local"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        text, times = self._answer(messages)
        time.sleep(times.whole)
        return _result(messages, text)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        text, times = self._answer(messages)
        await asyncio.sleep(times.whole)
        note(_whole(messages), times.whole)
        return _result(messages, text)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        text, times = self._answer(messages)
        words = _words(text)
        for word, pause in zip(words, [times.first, *times.pauses], strict=True):
            await asyncio.sleep(pause)
            chunk = ChatGenerationChunk(message=AIMessageChunk(word))
            if run_manager:
                await run_manager.on_llm_new_token(word, chunk=chunk)
            yield chunk
        note(_whole(messages), times.whole)
        usage = _usage(messages, text)
        yield ChatGenerationChunk(message=AIMessageChunk("", usage_metadata=usage, chunk_position="last"))

    def _answer(self, messages: Sequence[BaseMessage]) -> tuple[str, Rhythm]:
        """What is answered, and when. Raises `ModelUnavailable`."""
        if self.faults.fails():
            raise ModelUnavailable("the model is away, as CUSTOMER_SERVICE_MODEL_FAULTS says")
        prompt, said = str(messages[0].text), str(messages[-1].text)
        faults = self.faults.now()
        if prompt.startswith("Classify"):
            text = classified(prompt, said)
        else:
            text = answered(prompt, said, faults.careless_drafts)
        factor = self.latency * faults.latency_factor
        return text, rhythm(prompt[-200:] + said, len(_words(text)), factor)


def classified(prompt: str, said: str) -> str:
    """The label of the examples in the prompt that the message is most like, or `other`. Anger is a
    complaint, as the prompt says, whatever it is about."""
    labels, ranking = _examples(prompt)
    if is_outburst(said) and "complaint" in labels.values():
        return "complaint"
    scores = ranking.scores(said)
    near = best(scores, 5)
    if not near or max(ranking.coverage(said, name) for name in near) < SURE:
        return "other"
    votes: dict[str, float] = {}
    for place, name in enumerate(near):
        votes[labels[name]] = votes.get(labels[name], 0.0) + scores[name] / (1 + place)
    return best(votes, 1)[0]


@lru_cache(maxsize=8)
def _examples(prompt: str) -> tuple[dict[str, str], Ranking]:
    found = re.findall(r"^- (\w+): (.+)$", prompt, re.MULTILINE)
    names = {f"{number:03}": pair for number, pair in enumerate(found)}
    return {name: label for name, (label, _) in names.items()}, Ranking(
        {name: text for name, (_, text) in names.items()}
    )


def answered(prompt: str, said: str, careless_drafts: int = 0) -> str:
    """The sentences of the prompt's passages that say most of what the message asks, in their order."""
    opening = re.search(r"^Begin with: (.+)$", prompt, re.MULTILINE)
    begun = f"{opening[1]} " if opening else ""
    passages = re.findall(r"<passage[^>]*>\s*(.*?)\s*</passage>", prompt, re.DOTALL)
    text = begun + " ".join(_chosen(said, [sentences(each) for each in passages]))
    if prompt.count("\n- refused: ") < careless_drafts:
        text += " This takes 999 days."
    return text.strip()


def _chosen(said: str, passages: Sequence[Sequence[str]]) -> Iterator[str]:
    """At most three sentences, in their order. The first passage is the one that was found to fit best, and
    is quoted as it is, with its conditions: cut to the sentences that share words with the message, answers
    of the set beside the tests miss the point more often. What answers another question of it goes
    along."""
    if not passages:
        return
    others = _beside(said, passages)[: MOST_SENTENCES - 1]
    fits = Ranking({f"{place}": sentence for place, sentence in enumerate(passages[0])}).scores(said)
    scores = {f"{place}": fits.get(f"{place}", 0.0) + (place == 0) for place in range(len(passages[0]))}
    yield from (passages[0][int(place)] for place in sorted(best(scores, MOST_SENTENCES - len(others))))
    yield from others


def _beside(said: str, passages: Sequence[Sequence[str]]) -> list[str]:
    """The first sentences, which hang on none before them, of passages that say more of a question in the
    message than the first one does. A message that asks one thing has none."""
    asked = [part for part in sentences(said) if len(set(terms(part))) > 1]
    ranking = Ranking(
        {f"{place}": " ".join(each[: None if place == 0 else 1]) for place, each in enumerate(passages)}
    )
    return [
        each[0]
        for place, each in enumerate(passages)
        if place > 0
        and len(asked) > 1
        and any(
            ranking.coverage(part, f"{place}") >= max(SAYS_IT, ranking.coverage(part, "0") + 0.01)
            for part in asked
        )
    ]


def _whole(messages: Sequence[BaseMessage]) -> str:
    return "\n".join(str(each.text) for each in messages)


def _words(text: str) -> list[str]:
    return re.findall(r"\S+\s*", text) or [""]


def _usage(messages: Sequence[BaseMessage], text: str) -> Any:
    given, made = sum(len(str(each.text)) for each in messages) // 4, len(terms(text))
    return {"input_tokens": given, "output_tokens": made, "total_tokens": given + made}


def _result(messages: Sequence[BaseMessage], text: str) -> ChatResult:
    message = AIMessage(text, usage_metadata=_usage(messages, text))
    return ChatResult(generations=[ChatGeneration(message=message)])
