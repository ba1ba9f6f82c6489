"""What a message is about: asked of the model, with examples, once for each wording.

The node is cached for all customers, so its result is a function of the words alone: nothing of the
conversation, and no ids. LangGraph keeps where a node goes on together with what it returns, so its routing
looks at the intent and at nothing else.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, Literal

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


@cache
def prompt() -> str:
    """What the model is told: the labels, and the examples of `intents.jsonl`."""
    rows = Path(__file__).with_name("intents.jsonl").read_text().splitlines()
    examples = [f"- {row['intent']}: {row['text']}" for row in map(json.loads, rows)]
    return "\n".join(
        (
            "Classify the message of a customer of an online shop. Answer with one of these words alone:",
            ", ".join(INTENTS),
            "`complaint` is anger or a demand, whatever it is about; `person` asks for a human being;",
            "`other` has nothing to do with the shop. Examples:",
            *examples,
        )
    )


def by_words(message: str) -> str:
    """The intent without any model, by the likeness to the examples: for when none can be asked, and to put
    complaints before questions, which can't wait for one."""
    return classified(prompt(), message)


@model_breaker()
async def ask(message: str) -> str:
    """The intent, by the model. Raises what it raises."""
    # A client that follows messages is to see the reply, and not this word.
    model = chat_model().with_config(tags=[TAG_NOSTREAM])
    answer = await model.ainvoke([SystemMessage(prompt()), HumanMessage(message)])
    word = str(answer.text).strip().strip(".`'\"").lower()
    return word if word in INTENTS else "other"


async def understand(state: Conversation) -> Conversation:
    """The node. What it raises is not kept, so one that could not ask leaves no worse answer behind."""
    return begin(await ask(question(state["messages"])))


def understand_without_model(
    state: Conversation, error: NodeError
) -> Command[Literal["ask_person", "greet", "retrieve"]]:
    """What is done when the model can't be asked: go by the words."""
    intent = by_words(question(state["messages"]))
    return Command(update=begin(intent), goto=by_intent({"intent": intent}))


def by_intent(state: dict[str, Any] | Conversation) -> Literal["ask_person", "greet", "retrieve"]:
    """Where a turn goes on."""
    if state["intent"] == "person":
        return "ask_person"
    return "greet" if state["intent"] == "greeting" else "retrieve"


def same_words(state: Conversation) -> str:
    """The key: the words of the last message. The messages have ids, so the state is never the same."""
    return " ".join(tokens(question(state["messages"])))


CACHED = CachePolicy(key_func=same_words, ttl=600)
