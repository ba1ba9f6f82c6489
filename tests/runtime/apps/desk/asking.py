"""A prebuilt agent whose tool asks a human before it acts."""

import warnings

from desk.model import Chat
from langgraph.types import interrupt

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from langgraph.prebuilt import create_react_agent


def order(item: str) -> str:
    """Orders an item, if a human agrees."""
    answer = interrupt({"action": "order", "item": item})
    return "ordered" if answer == "yes" else f"not ordered: {answer}"


with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    graph = create_react_agent(Chat(), [order], prompt="You order things.", name="asking")
