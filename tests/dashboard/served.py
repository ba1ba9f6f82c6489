"""A page of a real `lgs up`, and what stands behind it."""

from __future__ import annotations

import re
from typing import Any

from support.up import Up


class Served:
    """`lgs up` with the graph of refunds, served from here on, and what its user does by the API."""

    def __init__(self, up: Up, name: str) -> None:
        self.up = up
        self._name = name
        link = rf"its page: (http://127\.0\.0\.1:\d+/)#/local/{name}\n"
        up.more = ["--page-port", "0"]
        up.serve()
        up.wait(lambda: up.said(link))
        found = re.search(link, up.log.read_text("utf-8"))
        assert found is not None
        self.page = found[1]

    def thread(self, **metadata: Any) -> str:
        return str(self.up.client.post("/threads", json={"metadata": metadata}).json()["thread_id"])

    def run(self, thread: str, say: str = "Where is my order?", **more: Any) -> None:
        """A run of the thread, not waited for."""
        given = {"messages": [{"role": "user", "content": say}], "gate": "", "ask": False} | more
        body = {"assistant_id": "agent", "input": given}
        assert self.up.client.post(f"/threads/{thread}/runs", json=body).status_code == 200

    def ran(self, thread: str, say: str = "Where is my order?") -> None:
        """The same, to its end."""
        given = {"messages": [{"role": "user", "content": say}], "gate": "", "ask": False}
        self.up.client.post(f"/threads/{thread}/runs/wait", json={"assistant_id": "agent", "input": given})

    def at(self, thread: str = "") -> str:
        return f"{self.page}#/local/{self._name}/sessions" + (f"/{thread}" if thread else "")
