"""What the handbook says about a question: a graph of its own, which the conversation has as one node.

It is given the messages and the intent, and gives back passages; what else it keeps is its own. It asks
nobody anything: a graph that stops within a subgraph plays the node around it again from its beginning.
"""

from __future__ import annotations

from typing import Any, TypedDict

from anger import calm, is_outburst
from courtesy import is_yes, matter
from handbook import parts_of, search
from intent_agent import by_words
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from ranking import terms, tokens
from reply_agent import offers_a_person
from state import Passage, Question, question, questions

FEW_WORDS = 2
"""A message of so few words that say something is about what was said before ("And to Norway?"), …"""
FEWEST_OF_A_QUESTION = 5
"""… but not one of so many words in all ("What is the capital of France?"), …"""
POINTS_BACK = frozenset(
    {
        "and", "also", "but", "else", "instead", "it", "its",
        "one", "ones", "or", "same", "so", "that", "them", "then", "there", "they", "this", "those",
    }
)  # fmt: skip
"""… unless one of these is among them."""


class Retrieval(Question, total=False):
    """The state of the subgraph. The keys that it shares with the conversation come and go by themselves."""

    intent: str
    topic: str
    query: list[str]
    passages: list[Passage]


class Found(TypedDict):
    """What the conversation gets."""

    passages: list[Passage]


def is_about_before(asked: str) -> bool:
    """Whether a message is too short to stand alone. One without a word, such as a picture, is no question at
    all."""
    words = tokens(asked)
    short = bool(words) and len(set(terms(asked))) <= FEW_WORDS
    return short and (len(words) < FEWEST_OF_A_QUESTION or not POINTS_BACK.isdisjoint(words))


async def phrase(state: Retrieval) -> dict[str, Any]:
    """What to search for: the message, with the one before it where it is too short to stand alone."""
    said = questions(state["messages"])
    asked = calm(matter(said[-1]) or said[-1]) if said else ""
    before = next((calm(each) for each in map(matter, reversed(said[:-1])) if each), "")
    query = parts_of(f"{before}. {asked}" if before and is_about_before(asked) else asked)
    # A complaint tells a story; a question with an outburst is a question all the same.
    is_question = bool(said) and is_outburst(said[-1])
    return {"query": query, "topic": by_words(asked) if is_question else state["intent"]}


async def look_up(state: Retrieval, runtime: Runtime[Any]) -> dict[str, Any]:
    """The passages, from the store that the whole graph runs with."""
    if runtime.store is None:
        raise ValueError("store: none: compile with `store=`, or run the graph in a server, which has one")
    passages = await search(state["query"], state["topic"])
    runtime.stream_writer({"found": [each["title"] for each in passages]})
    return {"passages": passages}


builder = StateGraph(Retrieval, output_schema=Found)
builder.add_node(phrase)
builder.add_node(look_up)
builder.add_edge(START, "phrase")
builder.add_edge("phrase", "look_up")
builder.add_edge("look_up", END)
retrieval = builder.compile(name="retrieval")


async def by_passages(state: dict[str, Any]) -> str:
    """Where a turn goes on: a complaint that no passage answers is for a person, a question is refused. Who
    was offered a person and says yes gets one."""
    if offers_a_person(state["messages"][:-1]) and is_yes(question(state["messages"])):
        return "ask_person"
    if state["passages"]:
        return "reply"
    return "ask_person" if state["intent"] == "complaint" else "refuse"
