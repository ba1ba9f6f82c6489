"""Signals between the processes of one machine: datagrams to the sockets in a folder beside the database.

Each listener binds its own socket there; each sender lists the sockets and sends to all. There is no polling,
and nothing runs while nothing happens. The first sender that meets the socket of a dead process removes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import socket
import tempfile
import uuid
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final

from lgs_runtime.model import Signal
from lgs_runtime.storage.notifications import KEPT, Inbox, packed, unpacked

_LONGEST_ADDRESS: Final = 100
_RETRY_SECONDS: Final = 0.02
_LARGEST_DATAGRAM: Final = 65_536


def folder_of(database: Path) -> Path:
    """The folder with the sockets of a database. Socket addresses must be short, so a database at a long path
    gets a folder elsewhere."""
    beside = Path(f"{database.resolve()}-signals")
    if len(str(beside)) + 14 <= _LONGEST_ADDRESS:
        return beside
    name = hashlib.sha256(os.fsencode(beside)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"lgs-{os.getuid()}-{name}"


class SqliteSignals:
    """Implements `Signals` of the contract, sending in batches. Belongs to one event loop."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._loop = asyncio.get_running_loop()
        self._unsent: list[Signal] = []
        self._waiting: dict[Path, list[str]] = {}
        self._due: asyncio.Handle | None = None

    def listen(self) -> AbstractAsyncContextManager[AsyncIterator[Signal]]:
        """Yields no signals for gaps: there is no connection that could be lost."""
        return Listener(self._folder)

    def send(self, *signals: Signal) -> None:
        self._unsent = (self._unsent + list(signals))[-KEPT:]
        if self._unsent and self._due is None:
            self._due = self._loop.call_soon(self._flush)

    def close(self) -> None:
        """Sends what is left and closes the socket."""
        if self._due is not None:
            self._due.cancel()
        self._flush()
        if self._due is not None:
            self._due.cancel()
        self._socket.close()

    def _flush(self) -> None:
        self._due = None
        payloads, self._unsent = packed(self._unsent), []
        for listener in self._folder.glob("*.sock"):
            waiting = (self._waiting.get(listener, []) + payloads)[-KEPT:]
            self._waiting[listener] = self._deliver(listener, waiting)
        self._waiting = {listener: left for listener, left in self._waiting.items() if left}
        if self._waiting:
            # A listener that is too busy to take more now gets the rest in a moment.
            self._due = self._loop.call_later(_RETRY_SECONDS, self._flush)

    def _deliver(self, listener: Path, payloads: list[str]) -> list[str]:
        """Sends in order; returns the payloads that the listener had no room for."""
        for sent, payload in enumerate(payloads):
            try:
                self._socket.sendto(payload.encode(), str(listener))
            except BlockingIOError:
                return payloads[sent:]
            except ConnectionRefusedError:
                listener.unlink(missing_ok=True)
                return []
            except OSError:
                return []  # Gone, or we may not write to it: nobody to send to.
        return []


class Listener:
    """Listens on its own socket in the folder, while the context is open."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._inbox = Inbox()
        self._address = folder / f"{uuid.uuid4().hex[:8]}.sock"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)

    async def __aenter__(self) -> AsyncIterator[Signal]:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._socket.setblocking(False)
        self._socket.bind(str(self._address))
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._receive)
        return self._inbox

    async def __aexit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self._socket.fileno())
        self._socket.close()
        self._address.unlink(missing_ok=True)

    def _receive(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                self._inbox.put(*unpacked(self._socket.recv(_LARGEST_DATAGRAM).decode()))
