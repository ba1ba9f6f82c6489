"""What LangGraph's own server answered about runs of the tests' graphs, for `test_recorded.py`.

`python tests/runtime/api/recorded.py URL` prints it anew, from a server at URL that serves `graphs.py` (as
module `api_graphs`) and `outputs.py`; `recorded.json` is from langgraph-api 0.16.7 with langgraph 1.2.24.
What differs on purpose is left out on both sides, here, with its reason.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import httpx

ASK = {"question": "q"}
SAY = {"messages": [{"role": "user", "content": "say", "id": "asked"}]}
GRAPHS: Mapping[str, tuple[Any, tuple[Any, ...]]] = {
    "private": (ASK, (["values", "updates", "debug", "custom"],)),
    "private_asks": (ASK, ("values", "updates", "tasks", "debug")),
    "private_fails": (ASK, ("values", "debug")),
    "private_inside": (ASK, ("values", "updates", "tasks", "checkpoints", "debug", "custom")),
    "chat_inside": (SAY, ("values", "messages", "messages-tuple", "events", ["messages-tuple", "updates"])),
    "number": (3, ("values", "updates", "tasks", "debug")),
    "number_asks": (3, ("values", "updates")),
}
"""The input of each graph, and the modes in which it is streamed."""
OF_THE_SERVER = frozenset(
    {"langgraph_version", "langgraph_api_version", "langgraph_plan", "langgraph_host", "langgraph_api_url"}
    | {"lc_versions", "langgraph_request_id", "langgraph_auth_user_id", "user_id", "ls_integration"}
)
"""What a server says of itself in the metadata of runs (ours says it once, at `/info`), or of who asks."""
OF_THE_RUN = frozenset({"priority", "attempt", "version", "error", "langsmith_session_name", "status"})
"""Our additions to a run; theirs; and how soon it begins."""
ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\b[0-9a-f]{32}\b")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(\+00:00|Z)")


def normal(value: Any, name: str = "") -> Any:
    """A value with its ids and times made the same."""
    if isinstance(value, dict):
        named = {ID.sub("ID", key): normal(part, key) for key, part in value.items()}
        if name == "configurable":
            return {key: part for key, part in named.items() if "checkpoint" in key or key == "thread_id"}
        return {key: named[key] for key in sorted(named) if key not in OF_THE_SERVER}
    if isinstance(value, list):
        return [normal(part) for part in value]
    return ID.sub("ID", TIME.sub("TIME", value)) if isinstance(value, str) else value


def cases() -> Iterator[tuple[str, str, Any, bool]]:
    """The name, the graph, the modes and whether subgraphs are included, of each stream."""
    for graph, (_, modes) in GRAPHS.items():
        for mode in modes:
            for subgraphs in (False, True) if graph.endswith("inside") else (False,):
                yield f"{graph} {mode} {subgraphs}", graph, mode, subgraphs


def streamed(http: httpx.Client, graph: str, mode: Any, subgraphs: bool) -> list[Any]:
    """The events of a run on a new thread, in normal form."""
    thread = http.post("/threads", json={}).json()["thread_id"]
    body = {
        "assistant_id": graph,
        "input": GRAPHS[graph][0],
        "stream_mode": mode,
        "stream_subgraphs": subgraphs,
    }
    text = http.post(f"/threads/{thread}/runs/stream", json=body).text.replace("\r\n", "\n")
    found = re.findall(r"^event: (.+)\ndata: (.+)$", text, re.MULTILINE)
    return [[ID.sub("ID", event), normal(_data(event, json.loads(data)))] for event, data in found]


def _data(event: str, data: Any) -> Any:
    if event == "events" and data["event"] == "on_chain_end" and not data.get("parent_ids"):
        # Theirs has the whole state here, ours what the graph gives out.
        return {**data, "data": None}
    return data


def records(http: httpx.Client, graph: str) -> dict[str, Any]:
    """What is answered about a run, its thread and its states, in normal form."""
    thread = http.post("/threads", json={}).json()["thread_id"]
    body = {"assistant_id": graph, "input": GRAPHS[graph][0], "config": {"tags": ["t"]}, "metadata": {"m": 1}}
    answer = http.post(f"/threads/{thread}/runs/wait", json=body)
    run = http.get(f"/threads/{thread}/runs").json()[0]
    config = run["kwargs"].pop("config")
    told = {
        "answer": json.loads(answer.text),
        "thread": http.get(f"/threads/{thread}").json(),
        "state": http.get(f"/threads/{thread}/state").json(),
        "history": http.get(f"/threads/{thread}/history?limit=20").json(),
        "run": {name: value for name, value in run.items() if name not in OF_THE_RUN},
        "tags": config["tags"],
        "ids": {name: config["configurable"][name] for name in ("thread_id", "run_id", "assistant_id")},
    }
    return dict(normal(told))


def everything(http: httpx.Client) -> dict[str, Any]:
    """All that is compared."""
    told: dict[str, Any] = {
        name: streamed(http, graph, mode, subgraphs) for name, graph, mode, subgraphs in cases()
    }
    return told | {f"records of {graph}": records(http, graph) for graph in GRAPHS}


if __name__ == "__main__":
    with httpx.Client(base_url=sys.argv[1], timeout=60) as server:
        lines = (f"{json.dumps(name)}: {json.dumps(told)}" for name, told in everything(server).items())
        print("{", ",\n".join(lines), "}", sep="\n")
