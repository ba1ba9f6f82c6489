"""The event stream of a run as a customer has received it so far; pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson


@dataclass(slots=True)
class Heard:
    """What has been received of one run, over all connections on which it was followed."""

    run_id: str | None = None
    last_id: str | None = None
    pieces: int = 0
    """Of streamed text."""
    updates: list[dict[str, Any]] = field(default_factory=list)
    """What each node said, as `{node: values}`."""
    error: str | None = None
    _rest: bytes = b""

    def feed(self, data: bytes) -> None:
        """Takes a piece of the stream, whatever its borders are."""
        *whole, self._rest = (self._rest + data).split(b"\n\n")
        for event in whole:
            self._take(dict(_fields(event)))

    def cut(self) -> None:
        """The connection is gone: what had not come whole comes again."""
        self._rest = b""

    def _take(self, event: dict[bytes, bytes]) -> None:
        name = event.get(b"event", b"")
        if b"id" in event:
            self.last_id = event[b"id"].decode()
        if name == b"metadata":
            self.run_id = orjson.loads(event[b"data"])["run_id"]
        elif name.startswith(b"messages"):
            self.pieces += 1
        elif name.startswith(b"updates"):
            self.updates.append(orjson.loads(event[b"data"]))
        elif name == b"error":
            self.error = event.get(b"data", b"").decode(errors="replace")


def _fields(event: bytes) -> Iterator[tuple[bytes, bytes]]:
    for line in event.split(b"\n"):
        name, found, value = line.partition(b": ")
        if found and name:
            yield name, value
