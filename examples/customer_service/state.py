"""What a conversation holds, and what a customer may put into it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, TypedDict
from uuid import uuid4

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph.message import add_messages

LONGEST_QUESTION = 2000
"""Characters of a message that are read."""


class Passage(TypedDict):
    """A piece of the handbook that was found."""

    id: str
    title: str
    text: str
    score: float


def appended(before: list[AnyMessage], more: Any) -> list[AnyMessage]:
    """The conversation with more messages. None takes the place of another: LangGraph's `add_messages` would
    let a customer rewrite what an agent has said, by sending its id along."""
    there = {each.id for each in before}
    said: Any = add_messages([], more)
    return [*before, *(_renamed(each) if each.id in there else each for each in said)]


def _renamed(message: AnyMessage) -> AnyMessage:
    return message.model_copy(update={"id": str(uuid4())})


class Question(TypedDict):
    """The input. A graph takes every key of its state as input unless it says otherwise: a customer could
    send passages of their own along, and have them quoted."""

    messages: Annotated[list[AnyMessage], appended]


class Conversation(Question, total=False):
    """The state. All but `messages` and the last two is about the present turn: `begin` sets it back."""

    intent: str
    passages: list[Passage]
    draft: AIMessage | None
    drafts: int
    faults: list[str]
    waiting_for: str
    """Why a person is asked, until the person has answered; empty otherwise."""
    customer: str | None
    """Who asks for the person."""


def begin(intent: str) -> Conversation:
    """A turn at its beginning. What the turn before has left would count in this one, the number of drafts
    above all, and a conversation would have its one retry only once."""
    return {"intent": intent, "passages": [], "draft": None, "drafts": 0, "faults": []}  # type: ignore[typeddict-item]


def questions(messages: Sequence[AnyMessage]) -> list[str]:
    """What the customer said, oldest first."""
    said = [str(each.text) for each in messages if isinstance(each, HumanMessage)]
    return [text[:LONGEST_QUESTION] for text in said]


def question(messages: Sequence[AnyMessage]) -> str:
    """What the customer said last."""
    return (questions(messages) or [""])[-1]


def customer_of(config: RunnableConfig) -> str | None:
    """The customer whose run this is: whom the service has let in, never what a request says of itself. None
    for our own people, who run graphs on the threads of customers, and where nobody is known."""
    known = config.get("configurable", {})
    if "staff" in (known.get("langgraph_auth_permissions") or ()):
        return None
    return known.get("langgraph_auth_user_id") or None
