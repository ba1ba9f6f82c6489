"""The check of a draft before a customer has it as an answer: by rules, which read faster than a second model
and are never persuaded. A draft that is refused is written once more, then a person is asked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ranking import terms
from state import Conversation, question

MOST_DRAFTS = 2
"""The reply, and its one retry. Without this bound a model that does not mend its ways goes round until the
graph's recursion limit fails the run."""
SUPPORTED = 0.6
"""The least share of a draft's words that stand in the passages, in the question, or are of courtesy."""
LONGEST = 1200
"""Characters of an answer."""
POLITE = "hello thank thanks sorry trouble help please answer assistant handbook says moment words own can't"
FIGURES = re.compile(r"\d+(?:[.:]\d+)*")
ADDRESSES = re.compile(r"https?://[^\s<>]*[\w/]|[\w.+-]+@[\w-]+(?:\.\w+)+")


def faults_of(draft: str, asked: str, passages: Sequence[str]) -> list[str]:
    """What is wrong with a draft, in words that the model can mend; nothing when it may be sent."""
    known = " ".join([*passages, asked])
    faults = []
    if not draft.strip():
        faults.append("it is empty")
    if len(draft) > LONGEST:
        faults.append(f"it has {len(draft)} characters, more than {LONGEST}")
    for kind, pattern in (("figure", FIGURES), ("address", ADDRESSES)):
        invented = sorted(set(pattern.findall(draft)) - set(pattern.findall(known)))
        faults += [f"it says {each}: no passage has this {kind}" for each in invented]
    said = terms(draft)
    known_terms = {*terms(known), *terms(POLITE)}
    if said and sum(term in known_terms for term in said) / len(said) < SUPPORTED:
        faults.append("most of it is not what the passages say")
    elif said and not {*said} & ({*terms(" ".join(passages))} - {*terms(asked)}):
        faults.append("it says nothing that the question does not")
    return faults


async def check(state: Conversation) -> dict[str, Any]:
    """The node: a draft without faults becomes a message, with the id under which its words were streamed."""
    draft = state["draft"]
    texts = [f"{each['title']} {each['text']}" for each in state["passages"]]
    faults = faults_of(str(draft.text) if draft else "", question(state["messages"]), texts)
    return {"faults": faults} if faults else {"faults": [], "messages": [draft]}


async def by_faults(state: Conversation) -> str:
    """Where a turn goes on: it ends, or the reply is written again, or a person is asked."""
    if not state.get("faults"):
        return "sent"
    return "reply" if state["drafts"] < MOST_DRAFTS else "ask_person"
