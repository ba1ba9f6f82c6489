"""What is known of a customer: what they said of themselves, in the store, under a namespace that is theirs.

Plain patterns, no model: a name that was guessed is worse than none.
"""

from __future__ import annotations

import re
from typing import Any, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.runtime import Runtime
from langgraph.store.base import BaseStore
from state import Conversation, customer_of, question

NAME = re.compile(r"\b(?:[Mm]y name is|[Tt]his is|[Cc]all me) ([A-Z][a-z]+(?: [A-Z][a-z]+)?)")
ORDER = re.compile(r"\border (?:number |no\.? |nr\.? |#)?([A-Z]{1,3}-?\d{3,10}|\d{4,10})\b", re.IGNORECASE)
MOST_ORDERS = 5


class Profile(TypedDict, total=False):
    """What a customer told us."""

    name: str
    orders: list[str]


def namespace_of(customer: str) -> tuple[str, ...]:
    """Where the items of a customer are."""
    return ("customers", customer)


def noted(profile: Profile, message: str) -> Profile:
    """The profile after a message: the same one when it says nothing new."""
    found = dict(profile)
    if name := NAME.search(message):
        found["name"] = name[1]
    orders = [number.upper() for number in ORDER.findall(message)]
    if orders:
        found["orders"] = list(dict.fromkeys([*orders, *profile.get("orders", [])]))[:MOST_ORDERS]
    return found  # type: ignore[return-value]


async def profile_of(customer: str | None, store: BaseStore | None) -> Profile:
    """What is known of a customer; nothing of nobody."""
    if customer is None or store is None:
        return {}
    item = await store.aget(namespace_of(customer), "profile")
    return item.value if item else {}  # type: ignore[return-value]


async def remember(state: Conversation, config: RunnableConfig, runtime: Runtime[Any]) -> None:
    """The node. It stands beside the one that understands a message, and not in it: that one's result may
    come from the cache, and what a node does beside returning does not happen then."""
    customer, message = customer_of(config), question(state["messages"])
    if customer is None or runtime.store is None or not (NAME.search(message) or ORDER.search(message)):
        return
    known = await profile_of(customer, runtime.store)
    profile = noted(known, message)
    if profile != known:
        await runtime.store.aput(namespace_of(customer), "profile", dict(profile), index=False)
