"""A graph with a channel of its own that its callers never see: `output_schema`."""

from typing import TypedDict

from langgraph.graph import END, START, StateGraph


class Question(TypedDict):
    """What it takes."""

    question: str


class Answer(TypedDict):
    """What it tells."""

    answer: str


class State(Question, Answer):
    """All that it knows."""

    notes: str


def note(state: State) -> dict[str, str]:
    """Keeps something to itself."""
    return {"notes": f"notes on {state['question']}"}


def reply(state: State) -> dict[str, str]:
    """Answers."""
    return {"answer": state["notes"].removeprefix("notes on ")}


builder = StateGraph(State, input_schema=Question, output_schema=Answer)
builder.add_sequence([note, reply])
builder.add_edge(START, "note")
builder.add_edge("reply", END)
graph = builder.compile()
