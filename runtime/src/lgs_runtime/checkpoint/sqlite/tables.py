"""The saver's operations on the official tables. Each function is one piece of work on a connection; those
that change something run inside their caller's transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any, Final

import orjson
from langgraph.checkpoint.base import DeltaChannelHistory, PendingWrite
from langgraph.checkpoint.serde.base import SerializerProtocol

from lgs_runtime.checkpoint.rows import Address, Row, Rows
from lgs_runtime.checkpoint.sqlite import statements
from lgs_runtime.checkpoint.sqlite.row_encoding import Stored, pending_writes

MOST_ROWS: Final = 64
"""Most rows in one statement. Each statement releases the interpreter lock, and may wait to get it back."""

Key = tuple[str, str, str]


def set_up(connection: sqlite3.Connection) -> None:
    """Creates the tables as the official package of this version does, or migrates them."""
    for statement in statements.CREATE:
        connection.execute(statement)
    if not connection.execute(statements.HAS_TASK_PATH).fetchall():
        connection.execute(statements.ADD_TASK_PATH)


def write(connection: sqlite3.Connection, works: Sequence[Rows]) -> None:
    """Stores the rows of several calls. Replaced writes prevail over new ones, whatever their order."""
    _insert(connection, statements.PUT_CHECKPOINTS, [row for rows in works for row in rows.checkpoints])
    _insert(connection, statements.ADD_WRITES, [row for rows in works for row in rows.new_writes])
    _insert(connection, statements.REPLACE_WRITES, [row for rows in works for row in rows.replaced_writes])


def change(connection: sqlite3.Connection, changes: Sequence[str], values: dict[str, str | None]) -> None:
    """Runs statements, one after the other."""
    for statement in changes:
        connection.execute(statement, values)


def read(connection: sqlite3.Connection, address: Address) -> Stored | None:
    """The checkpoint at an address, with its writes; None if there is none."""
    thread_id, namespace, checkpoint_id = address
    if checkpoint_id is None:
        found = connection.execute(statements.LATEST, (thread_id, namespace)).fetchall()
    else:
        found = connection.execute(statements.EXACT, address).fetchall()
    if not found:
        return None
    return Stored(found[0], connection.execute(statements.WRITES, tuple(found[0][:3])).fetchall())


def read_all(connection: sqlite3.Connection, addresses: Sequence[Key]) -> list[Stored]:
    """The checkpoints at several addresses; those that don't exist are left out."""
    return [stored for address in addresses if (stored := read(connection, address)) is not None]


def keys(connection: sqlite3.Connection, where: str, values: Sequence[Any], limit: int | None) -> list[Key]:
    """The addresses of the checkpoints that fulfil a condition, newest first."""
    statement = statements.LIST.format(where=where)
    return [tuple(row) for row in connection.execute(statement, (*values, -1 if limit is None else limit))]


def delta_history(
    connection: sqlite3.Connection, serde: SerializerProtocol, address: Address, channels: Sequence[str]
) -> dict[str, DeltaChannelHistory]:
    """The last stored value of each channel and the writes to it since, oldest first, among the ancestors of
    a checkpoint."""
    seeds: dict[str, Any] = {}
    writes: dict[str, list[PendingWrite]] = {channel: [] for channel in channels}
    wanted = set(channels)
    for ancestor in _ancestors(connection, address):
        named = (*ancestor[:3], orjson.dumps(list(wanted)).decode())
        rows = connection.execute(statements.CHANNEL_WRITES, named).fetchall()
        for written in reversed(pending_writes(serde, rows)):
            writes[written[1]].append(written)
        values = serde.loads_typed((ancestor[4], ancestor[5])).get("channel_values") or {}
        seeds.update({channel: values[channel] for channel in wanted & values.keys()})
        wanted -= seeds.keys()
        if not wanted:
            break
    return {
        channel: {"writes": found[::-1], "seed": seeds[channel]}
        if channel in seeds
        else {"writes": found[::-1]}
        for channel, found in writes.items()
    }


def _ancestors(connection: sqlite3.Connection, address: Address) -> Iterator[Sequence[Any]]:
    """The ancestors of a checkpoint, nearest first. Ends at a checkpoint that was stored again under one of
    its own descendants (a cycle)."""
    thread_id, namespace, checkpoint_id = address
    met = {checkpoint_id}
    found = connection.execute(statements.EXACT, address).fetchall()
    while found and (parent_id := found[0][3]) and parent_id not in met:
        met.add(parent_id)
        found = connection.execute(statements.EXACT, (thread_id, namespace, parent_id)).fetchall()
        if found:
            yield found[0]


def _insert(connection: sqlite3.Connection, insert: str, rows: Sequence[Row]) -> None:
    """Inserts rows in statements of 64, 32, 16, … rows, so that few different ones have to be prepared."""
    done, size = 0, MOST_ROWS
    while done < len(rows):
        if len(rows) - done < size:
            size //= 2
            continue
        part = rows[done : done + size]
        statement = statements.of_rows(insert, size, len(part[0]))
        connection.execute(statement, [value for row in part for value in row])
        done += size
