"""What a message is about: asked of the model, with examples, once for each wording.

The node is cached for all customers, so its result is a function of the words alone: nothing of the
conversation, and no ids. LangGraph keeps where a node goes on together with what it returns, so its routing
depends on the intent alone.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Literal

from courtesy import matter
from handbook import shipped
from langchain_core.messages import HumanMessage, SystemMessage
from langgraph.constants import TAG_NOSTREAM
from langgraph.errors import NodeError
from langgraph.types import CachePolicy, Command
from local_model import classified
from models import chat_model, model_breaker
from ranking import tokens
from state import Conversation, begin, question

INTENTS = (
    "delivery",
    "order",
    "returns",
    "payment",
    "warranty",
    "account",
    "shop",
    "complaint",
    "person",
    "greeting",
    "other",
)
After = Literal["ask_person", "greet", "retrieve"]


@cache
def prompt() -> str:
    """The prompt of the model: the labels, the examples of `intents.jsonl`, and by which words customers ask
    for what the handbook has."""
    rows = map(json.loads, Path(__file__).with_name("intents.jsonl").read_text().splitlines())
    examples = [(row["intent"], row["text"]) for row in rows]
    examples += [(passage["topic"], passage["also"]) for passage in shipped().values()]
    return "\n".join(
        (
            "Classify the message of a customer of an online shop. Answer with one of these words alone:",
            ", ".join(INTENTS),
            "`complaint` is anger or a demand, whatever it is about; `person` asks for a human being;",
            "`other` has nothing to do with the shop. Examples:",
            *(f"- {intent}: {text}" for intent, text in examples),
        )
    )


def by_words(message: str) -> str:
    """The intent without any model, by the likeness to the examples: for when none can be asked, and to put
    complaints before questions, which can't wait for one."""
    return classified(prompt(), matter(message) or message)


@model_breaker()
async def ask(message: str) -> str:
    """The intent, by the model. Raises what it raises."""
    # A client that follows messages is to see the reply, and not this word.
    model = chat_model().with_config(tags=[TAG_NOSTREAM])
    answer = await model.ainvoke([SystemMessage(prompt()), HumanMessage(matter(message) or message)])
    word = str(answer.text).strip().strip(".`'\"").lower()
    return word if word in INTENTS else "other"


async def understand(state: Conversation) -> Conversation:
    """The node. What it raises is not kept, so one that could not ask leaves no worse answer behind."""
    said = question(state["messages"])
    # No model is needed for a hello or a thank-you, in whichever of these languages.
    is_courtesy = bool(said.strip()) and not matter(said)
    return begin("greeting" if is_courtesy else await ask(said))


async def understand_without_model(state: Conversation, error: NodeError) -> Command[After]:
    """What is done when the model can't be asked: go by the words."""
    intent = by_words(question(state["messages"]))
    return Command(update=begin(intent), goto=_after(intent))


async def by_intent(state: Conversation) -> After:
    """Where a turn goes on."""
    return _after(state["intent"])


def _after(intent: str) -> After:
    if intent == "person":
        return "ask_person"
    return "greet" if intent == "greeting" else "retrieve"


def same_words(state: Conversation) -> str:
    """The key: the words of the last message, but for courtesies. The messages have ids, so the state is
    never the same.

    `tokens` leaves signs and accents out: messages that have other than ASCII's are distinguished as they
    are.
    """
    said = question(state["messages"]).replace("’", "'")
    said = matter(said) or said
    words = tokens(said) if said.isascii() else []
    return " ".join(words or said.casefold().split())


CACHED = CachePolicy(key_func=same_words, ttl=600)
