"""What a model that is no model answers: a function of the request, so that two servers get the same.

It drives agents to an end: a tool that is offered is called once (or the one that the user's words name as
`use:name`), then it answers; a forced tool is called; a schema is satisfied. Where a call is demanded each
time, the second one goes to what ends the work.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from support.model_stub.values import satisfy

ENDING = re.compile(r"done|complete|finish|finali[sz]e|submit|final|answer|respond|info$", re.IGNORECASE)
NAMED = re.compile(r"use:([\w-]+)")


@dataclass(frozen=True)
class Tool:
    """A function that the model is offered."""

    name: str
    schema: dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """A request in no vendor's words. `called` are the tools called since the user last spoke, in order."""

    user: str
    called: tuple[str, ...] = ()
    tools: tuple[Tool, ...] = ()
    demanded: str | None = None  # a tool's name, or "any"
    structure: dict[str, Any] | None = None
    turns: int = 1


@dataclass(frozen=True)
class Reply:
    """Words, or one call."""

    text: str = ""
    call: str | None = None
    arguments: dict[str, Any] = field(default_factory=dict)

    @property
    def pieces(self) -> list[str]:
        """The words as they are streamed."""
        return re.findall(r"\S+\s*", self.text)


def decide(asked: Asked) -> Reply:
    """The reply."""
    tool = _tool(asked)
    if tool:
        return Reply(call=tool.name, arguments=satisfy(tool.schema))
    if asked.structure is not None:
        return Reply(text=json.dumps(satisfy(asked.structure)))
    return Reply(text=f"You said: {' '.join(asked.user.split())[:60]}")


def _tool(asked: Asked) -> Tool | None:
    by_name = {tool.name: tool for tool in asked.tools}
    if asked.demanded in by_name:
        return by_name[asked.demanded]
    wanted = [name for name in NAMED.findall(asked.user) if name in by_name and name not in asked.called]
    if wanted:
        return by_name[wanted[0]]
    fresh = [tool for tool in asked.tools if tool.name not in asked.called]
    if asked.demanded == "any":
        ends = [tool for tool in fresh if ENDING.search(tool.name)]
        plain = [tool for tool in fresh if tool not in ends]
        order = ends + plain if asked.called else plain + ends
        return (order or list(asked.tools) or [None])[0]  # type: ignore[list-item]
    return fresh[0] if fresh and not asked.called else None
