"""The handbook is found by meaning too, where the store has an index: questions that share no word with it.
The model is the one of `tools/setup/meaning.sh`, on this machine.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest
from langgraph_sdk.client import LangGraphClient

from support.customer_service import Centre, example, threshold
from support.judged import MEANING, by_meaning, by_words, found, on_the_page, refused, served_by_meaning

PACKAGES = os.environ.get(MEANING, "")
if not PACKAGES:
    pytest.skip(f"{MEANING}: not set: `make test` sets it", allow_module_level=True)


@pytest.fixture(scope="module")
async def client(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LangGraphClient]:
    """One of us, where the example is served with its other langgraph.json."""
    async with served_by_meaning(tmp_path_factory.mktemp("meaning")) as client:
        yield client


async def test_questions_in_other_words_find_what_words_alone_do_not(
    client: LangGraphClient, centre: Centre
) -> None:
    meant = await found(by_meaning(client), "paraphrased.jsonl")
    alone = await found(by_words(centre), "paraphrased.jsonl")

    assert meant >= threshold("paraphrased.jsonl", "found_among_3"), meant
    assert meant >= 2 * alone, (meant, alone)
    assert on_the_page("questions in words that the handbook does not have") == f"{alone:.2f}"


async def test_what_the_handbook_does_not_say_is_not_meant_either(client: LangGraphClient) -> None:
    right = await refused(by_meaning(client))

    assert right >= threshold("unknown.jsonl", "refused"), right


def test_the_model_computes_what_its_authors_published(monkeypatch: pytest.MonkeyPatch) -> None:
    """The similarities that the documentation of its host shows for these sentences."""
    monkeypatch.syspath_prepend(PACKAGES)
    embed = example.meaning.MiniLM().embed_query

    one = embed("That is a happy person")
    near = [
        sum(a * b for a, b in zip(one, embed(text), strict=True))
        for text in ("That is a happy dog", "That is a very happy person", "Today is a sunny day")
    ]

    assert near == pytest.approx([0.6946, 0.9429, 0.2569], abs=0.0005)
