"""What `make centre` uses of `examples/customer_service`: its tokens, its questions, what is sent to it, and
what a right answer is."""

from __future__ import annotations

import hmac
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from bench.centre.account import Turn
from bench.centre.customers import Question
from bench.centre.event_stream import Heard
from bench.centre.happenings import records
from bench.replicas import ROOT

FOLDER: Final = ROOT / "examples" / "customer_service"
GRAPH: Final = "customer_service"
MARK: Final = "request"
"""In a run's metadata: the client's own name for the request, by which it finds the run of an answer that was
lost."""
SECRET: Final = "of make centre"
AWAY: Final = "I can't answer in my own words at the moment"
"""How the example's answers begin when its model is away."""
PASSED_ON: Final = "I have passed this on"
"""How it answers when a person is asked."""
VARIABLES: Final = {"CUSTOMER_SERVICE_MODEL": "local", "CUSTOMER_SERVICE_SECRET": SECRET}
"""Of the service: its model is the local one, also where there is a key of another."""


def token_of(name: str, role: str = "customer") -> str:
    """The token of a customer, or of one of the service's own people, as `tokens.py` there makes it."""
    signature = hmac.new(SECRET.encode(), f"{role}.{name}".encode(), "sha256").hexdigest()[:32]
    return f"development.{role}.{name}.{signature}"


def questions(folder: Path) -> list[Question]:
    """The example's own questions, with the labels that they have there; first those with which it warms its
    cache, as they are asked most."""
    rows = records((folder / "intents.jsonl").read_text("utf-8").splitlines())
    intents = {str(row["text"]): str(row["intent"]) for row in rows}
    warm = records((folder / "warmup.jsonl").read_text("utf-8").splitlines())
    common = [str(row["input"]["messages"][-1]["content"]) for row in warm]
    found = [Question(text, intents.get(text, ""), common=True) for text in common]
    return [*found, *(Question(text, intent) for text, intent in intents.items() if text not in common)]


def said(question: Question, mark: str, *, fresh: bool = False) -> dict[str, Any]:
    """What starts the run of a turn. `fresh`: in words that nobody used before, and to the same effect."""
    text = question.text
    if fresh:
        end = "" if text.endswith((".", "?", "!")) else "."
        text = f"{text}{end} Many thanks, {int(uuid.UUID(mark)) % 10**12}."
    return {"input": {"messages": [{"role": "user", "content": text}]}}


COLLEAGUE: Final = {"command": {"resume": {"text": "I have looked into it.", "by": "mia"}}}
"""What a person answers to what was handed over."""


def body(work: Mapping[str, Any], mark: str) -> dict[str, Any]:
    """The request of a run."""
    return {**_run(mark), **work}


def _run(mark: str) -> dict[str, Any]:
    return {
        "assistant_id": GRAPH,
        "metadata": {MARK: mark},
        "stream_mode": ["messages-tuple", "updates"],
        "stream_resumable": True,
        "on_disconnect": "continue",
    }


def lacks(heard: Heard) -> bool:
    """Whether the stream ended without an answer in it, and without an error: events that were not live any
    more, as Redis was away."""
    return heard.error is None and answer_in(heard) is None


def answer_in(heard: Heard) -> str | None:
    """The last message that a node gave."""
    found: str | None = None
    for update in heard.updates:
        for told in update.values():
            messages = told.get("messages") if isinstance(told, Mapping) else None
            if messages:
                found = str(messages[-1]["content"])
    return found


def judge(heard: Heard, result: Any, turn: Turn) -> None:
    """Writes the answer into the turn, or what is wrong with it. `result`: what the run left, where it was
    asked for."""
    if heard.error is not None:
        turn.problem = f"the run failed: {heard.error[:200]}"
        return
    answer = answer_in(heard)
    if answer is None and isinstance(result, Mapping) and result.get("messages"):
        last = result["messages"][-1]
        answer = str(last["content"]) if last["type"] == "ai" else None
    if not answer:
        turn.problem = f"no answer to {turn.question!r}: {str(result)[:200]}"
        return
    turn.answer = answer
    turn.fallback, turn.handed_over = answer.startswith(AWAY), answer.startswith(PASSED_ON)
