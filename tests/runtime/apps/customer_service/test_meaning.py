"""The handbook is found by meaning too, where the store has an index: questions that share no word with it.
The model is the one of `tools/setup/meaning.sh`, on this machine.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from typing import Any

import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

from support.application import ServedApplication
from support.customer_service import EXAMPLE, Centre, example, rows, threshold

PACKAGES = os.environ.get("LGS_TEST_MEANING", "")
if not PACKAGES:
    pytest.skip("LGS_TEST_MEANING: not set: `make test` sets it", allow_module_level=True)


@pytest.fixture(scope="module")
async def client(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LangGraphClient]:
    """One of us, where the example is served with its other langgraph.json."""
    folder = tmp_path_factory.mktemp("meaning")
    variables = {
        "CUSTOMER_SERVICE_LATENCY": "0",
        "CUSTOMER_SERVICE_MODEL": "local",
        "DATABASE_URI": f"sqlite:///{folder}/lgs.db",
        "PYTHONPATH": PACKAGES,
        "OPENBLAS_NUM_THREADS": "1",
    }
    with ServedApplication(EXAMPLE / "langgraph.meaning.json", folder, variables) as url:
        token = example.tokens.token("mia", "staff")
        async with get_client(url=url, headers={"authorization": f"Bearer {token}"}, timeout=120) as client:
            yield client


async def found(client: LangGraphClient, ask: str) -> list[str]:
    """The passages by which a question is answered."""
    said = {"messages": [{"role": "user", "content": ask}]}
    values: Any = await client.runs.wait(None, "customer_service", input=said)
    return [passage["id"] for passage in values["passages"]]


async def test_questions_in_other_words_find_what_words_alone_do_not(client: LangGraphClient) -> None:
    asked = rows("paraphrased.jsonl")
    by_words = Centre()

    meant = [bool({*await found(client, row["ask"])} & {*row["finds"]}) for row in asked]
    alone = []
    for number, row in enumerate(asked):
        values = await by_words.say(row["ask"], thread=str(number))
        alone.append(bool({passage["id"] for passage in values["passages"]} & {*row["finds"]}))

    least = threshold("paraphrased.jsonl", "found_among_3")
    assert sum(meant) / len(meant) >= least, sum(meant) / len(meant)
    assert sum(meant) >= 2 * sum(alone), (sum(meant), sum(alone))


async def test_what_the_handbook_does_not_say_is_not_meant_either(client: LangGraphClient) -> None:
    asked = rows("unknown.jsonl")

    refused = [await found(client, row["ask"]) == [] for row in asked]

    assert sum(refused) / len(refused) >= threshold("unknown.jsonl", "refused"), sum(refused) / len(refused)


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
