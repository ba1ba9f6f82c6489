"""The hand-over to a person: the run stops with a question to our own people, and goes on with their answer,
hours or restarts later.

What must happen once stands in a node before the question: the node that asks is played again from its
beginning when it is answered. It stands in the conversation's own graph, not in a subgraph, for the same
reason.
"""

from __future__ import annotations

from typing import Any, Literal

from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, add_messages
from langgraph.types import Command, interrupt
from state import Conversation, customer_of, question, questions

PASSED_ON = "I have passed this on to one of us. The answer will come here."


async def ask_person(state: Conversation, config: RunnableConfig) -> dict[str, Any]:
    """Says that a person is asked, and notes who asks and why. While that stands, whatever else the customer
    writes goes to the person too: it would begin a new turn otherwise, and the question would be gone."""
    reason = "; ".join(state["faults"]) or f"intent: {state['intent']}"
    said = {"messages": [AIMessage(PASSED_ON)]}
    return {"waiting_for": reason, "customer": customer_of(config), **said}


async def hand_over(state: Conversation, config: RunnableConfig) -> Command[Literal["hand_over", "__end__"]]:
    """The question, and the person's answer: a text, or an object with `text` and `by`.

    Who answers is checked here, in the run that goes on: there are ways of asking in which what a customer
    writes next is the answer by itself (A2A, protocol v2). It is one more message for the person then.
    """
    draft = state.get("draft")
    asked = {
        "customer": state.get("customer"),
        "reason": state["waiting_for"],
        "questions": questions(state["messages"])[-3:],
        "draft": str(draft.text) if draft else "",
        "passages": [each["title"] for each in state.get("passages", [])],
    }
    answer: Any = interrupt(asked)
    while not (text := _text(answer)):
        answer = interrupt({**asked, "problem": "an answer is a text, or an object with a `text`"})
    if customer_of(config) is not None:
        return Command(update={"messages": [HumanMessage(text)]}, goto="hand_over")
    by = str(answer.get("by") or "") if isinstance(answer, dict) else ""
    return Command(
        update={"waiting_for": "", "messages": [AIMessage(text, name=by or "colleague")]}, goto=END
    )


async def by_waiting(state: Conversation) -> list[Literal["remember", "hand_over", "understand"]]:
    """Where a message goes: to the agents, or to the person who has been asked already; and in any case to
    what is known of the customer, beside it."""
    return ["remember", "hand_over" if state.get("waiting_for") else "understand"]


def _text(answer: Any) -> str:
    """What an answer says: a text, an object with `text`, or the input of a run."""
    if isinstance(answer, dict) and answer.get("messages"):
        return question(add_messages([], answer["messages"]))
    said = answer.get("text") if isinstance(answer, dict) else answer
    return said.strip() if isinstance(said, str) else ""
