"""Protocol v2, LangChain's agent streaming protocol (`langchain_protocol`): the form of a stream's events in
it, their numbers, and which of them belong to a subscription. Pure.

A worker that executes a run for the protocol publishes events named `protocol`, whose data is `{"method",
"params"}` already. The events of other runs are translated here, so that a subscriber to a thread gets those
too.

Numbers (`seq`) grow along the thread, and are the same on every replica and after a reconnection: they are
computed from the event's id. A millisecond has 256 places of four numbers each, so that neither the events of
an attempt nor those of the next run can catch up with one another.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lgs_runtime.streams.events import StreamEvent, position
from lgs_runtime.streams.json_encoding import encode

PROTOCOL = "protocol"
CHANNELS = frozenset(
    {"values", "updates", "messages", "tools", "lifecycle", "input", "checkpoints", "tasks", "custom"}
)
WATCHED = frozenset({"lifecycle", "input"})
EPOCH_OF_NUMBERS = 1_735_689_600_000
"""Numbers count from 2025, so that they stay below 2^53, the largest integer of JavaScript, for centuries."""
NUMBERS_OF_MILLISECOND = 1024
NUMBERS_OF_EVENT = 4
SYNTHETIC = "synth:"
"""Prefix of the ids of events that no run published."""
_EVENT_ID = re.compile(r"([0-9]{1,16}-[0-9]{1,9})(?:\.([0-9]{1,9}))?")
Wire = dict[str, Any]
"""`{"method", "params": {"namespace", "timestamp", "data", "node"?}}`."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """What a subscriber wants: the events of these channels, below one of the namespaces (none: anywhere), at
    most `depth` levels deep."""

    channels: frozenset[str]
    namespaces: tuple[tuple[str, ...], ...] = ()
    depth: int | None = None

    @property
    def watches(self) -> bool:
        """Whether it gets only the beginnings and ends of runs, and questions."""
        return self.channels <= WATCHED

    def wants(self, wire: Wire) -> bool:
        """Whether an event is for this subscriber."""
        channel = channel_of(wire)
        if channel not in self.channels and channel.partition(":")[0] not in self.channels:
            return False
        namespace = wire["params"]["namespace"]
        return not self.namespaces or any(self._below(namespace, prefix) for prefix in self.namespaces)

    def _below(self, namespace: Sequence[str], prefix: Sequence[str]) -> bool:
        if len(prefix) > len(namespace) or not all(map(_same_segment, namespace, prefix)):
            return False
        return self.depth is None or len(namespace) - len(prefix) <= self.depth


def _same_segment(segment: str, wanted: str) -> bool:
    """Whether a segment is the wanted one: `node:task` is found by its whole name, and by `node`."""
    return segment == wanted or (":" not in wanted and segment.partition(":")[0] == wanted)


def is_channel(name: str) -> bool:
    """Whether there is a channel of this name: one of the nine, or `custom:<name>`."""
    return name in CHANNELS or (name.startswith("custom:") and len(name) > len("custom:"))


def channel_of(wire: Wire) -> str:
    """The channel of an event; that of a named custom event is `custom:<name>`."""
    if wire["method"] == "custom" and (name := wire["params"]["data"].get("name")):
        return f"custom:{name}"
    return "input" if wire["method"] == "input.requested" else str(wire["method"])


def first_number(milliseconds: int) -> int:
    """The first number of a millisecond since 1970. Events begin four numbers later."""
    return max(0, milliseconds - EPOCH_OF_NUMBERS) * NUMBERS_OF_MILLISECOND


def number_of(event_id: str) -> int:
    """The number of an event of a run's stream."""
    epoch, sequence = position(event_id)
    return first_number(epoch) + sequence * NUMBERS_OF_EVENT


def number_by_id(event_id: str) -> int | None:
    """The number of an event by its `event_id`; -1, before all others, for an event that no run published;
    None if it is no id."""
    if event_id.startswith(SYNTHETIC):
        return -1
    if (found := _EVENT_ID.fullmatch(event_id)) is None:
        return None
    return number_of(found[1]) + min(int(found[2] or 0), NUMBERS_OF_EVENT - 1)


def envelope(wire: Wire, event_id: str, number: int) -> Wire:
    """The event as clients get it."""
    return {"type": "event", "event_id": event_id, "seq": number, **wire}


def wire_event(method: str, namespace: Sequence[str], data: Any, timestamp: int) -> Wire:
    """One event; `timestamp` is in milliseconds since 1970."""
    return {
        "method": method,
        "params": {"namespace": list(namespace), "timestamp": timestamp, "data": data},
    }


def input_requested(interrupt: Mapping[str, Any], namespace: Sequence[str], timestamp: int) -> Wire:
    """The event of a graph's question. What was asked is `payload` in the protocol, and `value` for the
    Python SDK."""
    data = {"interrupt_id": interrupt["id"], "payload": interrupt.get("value")}
    return wire_event("input.requested", namespace, {**data, "value": data["payload"]}, timestamp)


def root_lifecycle(status: str, graph_name: str, moment: datetime | int, error: str | None = None) -> Wire:
    """The event of a run's beginning or end."""
    data: dict[str, Any] = {"event": status, "graph_name": graph_name}
    if error is not None:
        data["error"] = error
    return wire_event("lifecycle", (), data, moment if isinstance(moment, int) else milliseconds(moment))


def milliseconds(moment: datetime) -> int:
    """A time in milliseconds since 1970."""
    return int(moment.timestamp() * 1000)


def custom_data(value: Any, name: str = "") -> Any:
    """What a node wrote, in the form of the protocol. `name`: the name of the graph's own channel, if it has
    one. An object with a `name` goes to the channel of that name, where the Python SDK expects the object
    itself, and the JavaScript SDK its `payload`."""
    if name:
        return {"name": name, "payload": value}
    if isinstance(value, Mapping) and isinstance(value.get("name"), str):
        return {"payload": value, **value}
    return {"payload": value}


def update_of(node: str, values: Any) -> dict[str, Any]:
    """What one node changed, in the form of the protocol."""
    return {"node": node, "values": values if isinstance(values, Mapping) else {"value": values}}


def checkpoint_data(snapshot: Mapping[str, Any]) -> dict[str, Any] | None:
    """The protocol's small form of a checkpoint, made from the large one that graphs stream; None if that has
    no id."""
    named = (snapshot.get("config") or {}).get("configurable") or {}
    parent = ((snapshot.get("parent_config") or {}).get("configurable") or {}).get("checkpoint_id")
    metadata = snapshot.get("metadata") or {}
    if not named.get("checkpoint_id"):
        return None
    return {
        "id": named["checkpoint_id"],
        **({"parent_id": parent} if parent else {}),
        "step": metadata.get("step"),
        "source": metadata.get("source"),
    }


def from_plain(event: StreamEvent, data: Any) -> Iterator[Wire]:
    """Translates an event of a run that was not started for the protocol. The tokens of such a run have
    another form than the protocol's, and are left out."""
    mode, *namespace = event.event.split("|")
    timestamp = event.position[0]
    if mode == "values" and isinstance(data, Mapping):
        for interrupt in data.get("__interrupt__") or ():
            yield input_requested(interrupt, namespace, timestamp)
        kept = {name: value for name, value in data.items() if name != "__interrupt__"}
        yield wire_event("values", namespace, kept, timestamp)
    elif mode == "updates" and isinstance(data, Mapping):
        for node, values in data.items():
            if node == "__interrupt__":
                yield from (input_requested(interrupt, namespace, timestamp) for interrupt in values)
            else:
                yield wire_event("updates", namespace, update_of(node, values), timestamp)
    elif mode == "custom":
        yield wire_event("custom", namespace, custom_data(data), timestamp)
    elif mode == "tasks":
        yield wire_event("tasks", namespace, data, timestamp)
    elif mode == "checkpoints" and (small := checkpoint_data(data)) is not None:
        yield wire_event("checkpoints", namespace, small, timestamp)


def to_plain(event: StreamEvent, wire: Wire) -> StreamEvent | None:
    """Translates an event of the protocol for a reader of the run's own stream: values, updates, tasks and
    what nodes wrote. None for an event that has no form there."""
    method, params = wire["method"], wire["params"]
    data = params["data"]
    if method == "updates":
        data = {data["node"]: data["values"]}
    elif method == "custom":
        data = data["payload"]
    elif method not in ("values", "tasks"):
        return None
    return StreamEvent(event.id, "|".join((method, *params["namespace"])), encode(data))
