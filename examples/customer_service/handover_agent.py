"""The hand-over to a person: the run stops with a question to our own people, and goes on with their answer,
hours or restarts later.

What must happen once stands in a node before the question: the node that asks is played again from its
beginning when it is answered. It stands in the conversation's own graph, not in a subgraph, for the same
reason.
"""

from __future__ import annotations

from typing import Any, Literal

from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langgraph.types import interrupt
from state import Conversation, customer_of, questions

PASSED_ON = "I have passed this on to one of us. The answer will come here."


async def ask_person(state: Conversation) -> dict[str, Any]:
    """Says that a person is asked, and notes why. While that stands, whatever else the customer writes goes
    to the person too: it would begin a new turn otherwise, and the question would be gone."""
    reason = "; ".join(state["faults"]) or f"intent: {state['intent']}"
    return {"waiting_for": reason, "messages": [AIMessage(PASSED_ON)]}


async def hand_over(state: Conversation, config: RunnableConfig) -> dict[str, Any]:
    """The question, and the person's answer: a text, or an object with `text` and `by`."""
    draft = state.get("draft")
    asked = {
        "customer": customer_of(config),
        "reason": state["waiting_for"],
        "questions": questions(state["messages"])[-3:],
        "draft": str(draft.text) if draft else "",
        "passages": [each["title"] for each in state.get("passages", [])],
    }
    answer: Any = interrupt(asked)
    while not _text(answer):
        answer = interrupt({**asked, "problem": "an answer is a text, or an object with a `text`"})
    by = str(answer.get("by") or "") if isinstance(answer, dict) else ""
    return {"waiting_for": "", "messages": [AIMessage(_text(answer), name=by or "colleague")]}


async def by_waiting(state: Conversation) -> list[Literal["remember", "hand_over", "understand"]]:
    """Where a message goes: to the agents, or to the person who has been asked already; and in any case to
    what is known of the customer, beside it."""
    return ["remember", "hand_over" if state.get("waiting_for") else "understand"]


def _text(answer: Any) -> str:
    said = answer.get("text") if isinstance(answer, dict) else answer
    return said.strip() if isinstance(said, str) else ""
