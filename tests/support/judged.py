"""How well `examples/customer_service` answers the labelled sets beside its tests, as shares of 1; and what
its README says of that, which `make centre CENTRE_ARGS="judged --docs"` writes."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

from support.application import ServedApplication
from support.customer_service import EXAMPLE, Centre, example, last, rows

Ask = Callable[[str], Awaitable[Sequence[str]]]
"""Gives the ids of the passages by which a question is answered, best first."""
PAGE: Final = EXAMPLE / "README.md"
MEANING: Final = "LGS_TEST_MEANING"
"""The variable that names the folder with the packages for the search by meaning."""


class Answers(NamedTuple):
    """Of the answers to questions that the handbook answers: the passage is among the three that were found,
    is the first, is said; and no sentence is one of a passage that is about something else."""

    found: float
    first: float
    said: float
    nothing_beside: float


async def understood() -> float:
    """Of the messages whose intent is known."""
    asked = rows("utterances.jsonl")
    return share([await example.intent_agent.ask(row["text"]) == row["intent"] for row in asked])


async def answers(centre: Centre) -> Answers:
    """By words."""
    found, first, said, to_the_point = [], [], [], []
    for number, row in enumerate(rows("questions.jsonl")):
        values = await centre.say(row["ask"], thread=str(number))
        names = [passage["id"] for passage in values["passages"]]
        found.append(bool({*names[:3]} & {*row["finds"]}))
        first.append(bool({*names[:1]} & {*row["finds"]}))
        said.append(any(each in last(values) for each in row["says"].split("|")))
        to_the_point.append(not [name for name in passages_of(last(values)) if name not in row["finds"]])
    return Answers(share(found), share(first), share(said), share(to_the_point))


async def found(ask: Ask, questions: str) -> float:
    """Of a set of questions: the passage is among the three that were found."""
    return share([bool({*(await ask(row["ask"]))[:3]} & {*row["finds"]}) for row in rows(questions)])


async def refused(ask: Ask) -> float:
    """Of the questions that the handbook does not answer."""
    return share([not await ask(row["ask"]) for row in rows("unknown.jsonl")])


def by_words(centre: Centre) -> Ask:
    """Asks a centre in this process, each question on a thread of its own."""

    async def ask(question: str) -> Sequence[str]:
        values = await centre.say(question, thread=question)
        return [passage["id"] for passage in values["passages"]]

    return ask


def by_meaning(client: LangGraphClient) -> Ask:
    """Asks one that is served."""

    async def ask(question: str) -> Sequence[str]:
        said: dict[str, Any] = {"messages": [{"role": "user", "content": question}]}
        values: Any = await client.runs.wait(None, "customer_service", input=said)
        return [passage["id"] for passage in values["passages"]]

    return ask


@asynccontextmanager
async def served_by_meaning(folder: Path) -> AsyncIterator[LangGraphClient]:
    """One of us, where the example is served with its other langgraph.json, in an empty folder."""
    variables = {
        "CUSTOMER_SERVICE_LATENCY": "0",
        "CUSTOMER_SERVICE_MODEL": "local",
        "DATABASE_URI": f"sqlite:///{folder}/lgs.db",
        "PYTHONPATH": os.environ[MEANING],
        "OPENBLAS_NUM_THREADS": "1",
    }
    with ServedApplication(EXAMPLE / "langgraph.meaning.json", folder, variables) as url:
        token = example.tokens.token("mia", "staff")
        async with get_client(url=url, headers={"authorization": f"Bearer {token}"}, timeout=120) as client:
            yield client


def passages_of(answer: str) -> list[str]:
    """The passages of which an answer has a sentence."""
    shipped = example.handbook.shipped()
    return [
        name
        for name, passage in shipped.items()
        if any(sentence in answer for sentence in example.ranking.sentences(passage["text"]))
    ]


def share(right: Sequence[bool]) -> float:
    """Of 1."""
    return sum(right) / len(right)


def on_the_page(about: str) -> str:
    """The share by words that the README has in its line about something."""
    (line,) = [line for line in PAGE.read_text("utf-8").splitlines() if f" {about}" in line and "|" in line]
    return line.split("|")[2].strip()
