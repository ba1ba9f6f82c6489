"""A graph whose state is a pydantic model with a nested one and a date."""

from datetime import date

from langgraph.graph import END, START, StateGraph
from pydantic import BaseModel, Field


class Person(BaseModel):
    """Somebody."""

    name: str
    born: date | None = None


class State(BaseModel):
    """People who were met."""

    person: Person
    met: list[Person] = Field(default_factory=list)


def meet(state: State) -> dict[str, list[Person]]:
    """Remembers the person."""
    return {"met": [*state.met, state.person]}


graph = StateGraph(State).add_node(meet).add_edge(START, "meet").add_edge("meet", END).compile()
