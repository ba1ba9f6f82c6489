"""The customer-service centre of `examples/`, in this process: its modules, and its graph with a store, a
memory and a cache of its own.

The modules of a flat application import each other by plain names (`graph`, `state`), which other tests may
mean otherwise: they are imported as a server does, and then taken off the list of modules.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from langgraph.cache.memory import InMemoryCache
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.store.memory import InMemoryStore
from langgraph.types import Command

from lgs_runtime.breaker.registry import CIRCUITS
from lgs_runtime.breaker.state_machine import Phase, changed

EXAMPLE = Path(__file__).parents[2] / "examples" / "customer_service"
SETS = Path(__file__).parents[1] / "runtime" / "apps" / "customer_service"


def _modules() -> SimpleNamespace:
    names = [path.stem for path in EXAMPLE.glob("*.py")]
    hidden = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    sys.path.insert(0, str(EXAMPLE))
    try:
        return SimpleNamespace(**{name: importlib.import_module(name) for name in names})
    finally:
        sys.path.remove(str(EXAMPLE))
        for name in names:
            sys.modules.pop(name, None)
        sys.modules.update(hidden)


example = _modules()
"""Its modules, by their names."""
(_circuit,) = [each for each in CIRCUITS.all() if each.name == "model"]


def close_circuit() -> None:
    """Closes the circuit before the model, which all centres of this process share, and forgets what was
    counted: failures of other tests are none of this one's."""
    _circuit.change(lambda state, now: changed(state, Phase.CLOSED, now))


def rows(name: str) -> list[dict[str, Any]]:
    """A labelled set."""
    return [json.loads(line) for line in (SETS / name).read_text().splitlines()]


def threshold(name: str, what: str) -> float:
    """The least share of a set that must be right; the thresholds stand beside the sets."""
    found: float = json.loads((SETS / "thresholds.json").read_text())[name][what]
    return found


class Centre:
    """The graph, for customers who say something and a person who answers."""

    def __init__(self) -> None:
        self.store = InMemoryStore()
        self.graph = example.graph.builder.compile(
            store=self.store, checkpointer=InMemorySaver(), cache=InMemoryCache(), name="customer_service"
        )

    async def say(self, text: str, thread: str = "t", customer: str = "ann") -> dict[str, Any]:
        """What a turn leaves."""
        said = {"messages": [{"role": "user", "content": text}]}
        result: dict[str, Any] = await self.graph.ainvoke(said, config_of(thread, customer))
        return result

    async def answer(self, answer: Any, thread: str = "t") -> dict[str, Any]:
        """What is left when one of us has answered."""
        config = config_of(thread, "staff:mia", "staff")
        result: dict[str, Any] = await self.graph.ainvoke(Command(resume=answer), config)
        return result


def config_of(thread: str, user: str, role: str = "customer") -> Any:
    """What the server gives a run about its user."""
    who = {"langgraph_auth_user_id": user, "langgraph_auth_permissions": [role]}
    return {"configurable": {"thread_id": thread, **who}}


def last(values: dict[str, Any]) -> str:
    """The text of the last message, in a state of the graph or of the API."""
    message = values["messages"][-1]
    return str(message["content"] if isinstance(message, dict) else message.text)
