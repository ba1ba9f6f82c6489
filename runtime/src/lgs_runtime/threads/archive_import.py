"""Import of a thread from its document (`archive.py` describes the format). Keeps one state in memory, never
the whole thread."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid4, uuid5

import orjson

from lgs_runtime.checkpoint.configs import checkpoint_config
from lgs_runtime.database.json_columns import MARK_BYTES, restored
from lgs_runtime.errors import Conflict, InvalidRequest, NotFound
from lgs_runtime.model import Json
from lgs_runtime.storage.archives import Record, checked
from lgs_runtime.storage.lifetime import columns
from lgs_runtime.threads.archive import FORMAT, Archive

STAGING_SECONDS: Final = 24 * 3600.0
"""Seconds after which the remains of an interrupted import are deleted."""
PLURAL: Final = {"run": "runs", "version": "versions", "audit": "audit"}


@dataclass(slots=True)
class ThreadImport:
    """The import of one document. Its checkpoints are staged under a separate id until `settle`, so that
    nobody sees half a thread."""

    archive: Archive
    thread_id: str | None = None
    """The id that the thread gets; None: its original one."""
    staging: str = field(default_factory=lambda: str(uuid4()))
    ended: bool = False
    _rows: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    _values: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    _checkpoints: int = 0
    _line: int = 0
    _claimed: bool = False
    _by: str | None = None

    @property
    def begun(self) -> bool:
        """Whether a line has been read."""
        return self._line > 0

    @property
    def target(self) -> str:
        """The id that the thread gets; available once its line was read."""
        return self.thread_id or str(self._rows["thread"][0]["thread_id"])

    @property
    def metadata(self) -> Json:
        """The thread's metadata in the document; available once its line was read."""
        found: Json = self._rows["thread"][0]["metadata"]
        return found

    def claim(self, metadata: Json, who: str | None) -> None:
        """Makes `who` the thread's creator and `metadata` its metadata, whatever the document says. Of the
        creators that the document names, only `who` is believed; its audit trail is dropped. The priority of
        the thread's runs is assigned anew."""
        anew = {"metadata": dict(metadata), "created_by": who, "level": None, "fairness_group": None}
        self._rows["thread"][0].update(anew)
        self._claimed, self._by = True, who

    async def take(self, raw: bytes) -> None:
        """Takes one line. Raises `InvalidRequest`, which names the line and what is wrong with it."""
        self._line += 1
        place = f"line {self._line}"
        line = _parsed(raw, place)
        kind = line["kind"]
        if self.ended or (kind == "thread") != (self._line == 1):
            raise InvalidRequest(
                f"{place}: kind {kind!r}: a document is one thread: its line first, `end` last"
            )
        if kind == "thread":
            await self._begin(line, place)
        elif kind in PLURAL:
            self._rows[kind].append(checked(kind, line.get("row"), place))
        elif kind == "value":
            self._values[_text(line, "channel", place)] = (
                line.get("version"),
                self.archive.codec.load(line.get("data"), place),
            )
        elif kind == "checkpoint":
            await self._checkpoint(line, place)
        elif kind == "end":
            if line.get("checkpoints") != self._checkpoints:
                raise InvalidRequest(
                    f"{place}: checkpoints: {line.get('checkpoints')!r}: {self._checkpoints} came"
                )
            self.ended = True
        elif kind == "failed":
            raise InvalidRequest(f"{place}: the export of the thread failed: {line.get('reason')!r:.400}")
        else:
            raise InvalidRequest(f"{place}: kind {kind!r}: must be one that format {FORMAT} has")

    async def settle(self, replace: Callable[[str], Awaitable[None]] | None = None) -> str:
        """Creates the thread, and returns its id. If a thread with this id exists, `replace` deletes it
        first. Raises `Conflict` if it exists and `replace` is None, `InvalidRequest` if the document is
        incomplete."""
        if not self.ended:
            raise InvalidRequest(f"line {self._line}: the last: must be of kind 'end'; the document was cut")
        storage, upkeep, target = self.archive.storage, self.archive.upkeep, self.target
        record = self._record(target, await storage.now())
        # When the saver has listed something, all its pending writes are stored.
        await self._settled()
        if await self.exists():
            if replace is None:
                raise Conflict(f"thread {target} exists: if_exists is raise; use replace or new")
            await replace(target)
        # Without its record a thread's checkpoints are not visible, so they may be stored first.
        await upkeep.adopt(self.staging, target)
        await storage.archives.restore(record)
        await storage.audit.note(target, "thread.imported", {"checkpoints": self._checkpoints})
        await storage.orphans.forget([self.staging])
        return target

    async def exists(self) -> bool:
        """Whether a thread with this id exists already."""
        with suppress(NotFound):
            await self.archive.storage.threads.get(self.target)
            return True
        return False

    async def drop(self) -> None:
        """Deletes what has been staged so far."""
        await self.archive.saver.adelete_thread(self.staging)
        await self.archive.storage.orphans.forget([self.staging])

    async def _settled(self) -> None:
        async for _ in self.archive.saver.alist(checkpoint_config(self.staging), limit=1):
            pass

    async def _begin(self, line: Mapping[str, Any], place: str) -> None:
        if line.get("format") != FORMAT:
            raise InvalidRequest(f"{place}: format: {line.get('format')!r}: must be {FORMAT}")
        row = checked("thread", line.get("row"), place)
        with suppress(ValueError):
            row["thread_id"] = str(UUID(row["thread_id"]))
            self._rows["thread"].append(row)
            await self.archive.storage.orphans.expect(self.staging, STAGING_SECONDS)
            return
        raise InvalidRequest(f"{place}: thread.thread_id: {row['thread_id']!r:.80}: must be a UUID")

    async def _checkpoint(self, line: Mapping[str, Any], place: str) -> None:
        codec, saver = self.archive.codec, self.archive.saver
        namespace = _text(line, "namespace", place)
        bare, metadata = codec.load(line.get("checkpoint"), place), codec.load(line.get("metadata"), place)
        if (
            not isinstance(bare, dict)
            or not isinstance(metadata, dict)
            or not isinstance(bare.get("id"), str)
        ):
            raise InvalidRequest(
                f"{place}: checkpoint: must hold an object with an id, and its metadata another"
            )
        versions, values = bare.get("channel_versions") or {}, {}
        for channel in line.get("channels") or ():
            version, value = self._values.get(channel, (None, None))
            if channel not in self._values or version != versions.get(channel):
                raise InvalidRequest(
                    f"{place}: channel {channel!r}: its value of this version must come before"
                )
            values[channel] = value
        parent = line.get("parent")
        onto = checkpoint_config(self.staging, namespace, parent if isinstance(parent, str) else None)
        checkpoint: Any = {**bare, "channel_values": values}
        stored = await saver.aput(onto, checkpoint, metadata, versions)  # type: ignore[arg-type]
        writes: defaultdict[str, list[tuple[str, Any]]] = defaultdict(list)
        for write in line.get("writes") or ():
            if not (isinstance(write, list) and len(write) == 3):
                raise InvalidRequest(f"{place}: writes: {write!r:.80}: must be task, channel and value")
            writes[str(write[0])].append((str(write[1]), codec.load(write[2], place)))
        for task_id, pending in writes.items():
            await saver.aput_writes(stored, pending, task_id)
        self._checkpoints += 1

    def _record(self, target: str, now: datetime) -> Record:
        """The rows with the thread's new id; the runs of a copy get new ids."""
        thread = {**self._rows["thread"][0], "thread_id": target}
        if thread["ttl_seconds"] is None:
            thread["ttl_seconds"], thread["ttl_strategy"] = columns(self.archive.ttl)
        # Its time to live counts from now: a thread that was imported to be inspected must not expire at
        # once.
        thread["ttl_from"] = now.isoformat()
        copied = target != self._rows["thread"][0]["thread_id"]

        def placed(row: dict[str, Any]) -> dict[str, Any]:
            placed = {**row, "thread_id": target}
            if self._claimed:
                placed["created_by"] = self._by if row["created_by"] == self._by else None
            if copied and placed.get("run_id"):
                placed["run_id"] = str(uuid5(UUID(target), placed["run_id"]))
            return placed

        runs, versions = ([placed(row) for row in self._rows[kind]] for kind in ("run", "version"))
        if self._claimed:
            for run in runs:
                run["kwargs"] = {name: value for name, value in run["kwargs"].items() if name != "user"}
                run["thread_metadata"] = thread["metadata"]
            return Record(thread, runs, versions)
        return Record(thread, runs, versions, [placed(row) for row in self._rows["audit"]])


def _parsed(raw: bytes, place: str) -> dict[str, Any]:
    try:
        line = restored(orjson.loads(raw)) if MARK_BYTES in raw else orjson.loads(raw)
    except orjson.JSONDecodeError as wrong:
        raise InvalidRequest(f"{place}: {raw[:40]!r}: must be JSON: {wrong}") from wrong
    if not isinstance(line, dict) or not isinstance(line.get("kind"), str):
        raise InvalidRequest(f"{place}: {raw[:40]!r}: must be an object with a kind")
    return line


def _text(line: Mapping[str, Any], name: str, place: str) -> str:
    if not isinstance(line.get(name), str):
        raise InvalidRequest(f"{place}: {name}: {line.get(name)!r:.80}: must be a text")
    return str(line[name])
