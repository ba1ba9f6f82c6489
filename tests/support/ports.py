"""Free ports on 127.0.0.1 for the real services that the tests run on, and a bounded wait for a condition."""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Final

FIRST_PORT = 12_000
BLOCK_PORTS = 50
EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
PATIENCE_SECONDS: Final = 240.0
"""Only what hangs takes longer, on however busy a machine."""


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on at this moment, and that nobody else is given.

    The system's own choice (port 0) is free again as soon as the probe is closed: of thousands of tests side
    by side one then finds another's server in its place. These ports are none of those that the system
    chooses from; a process has blocks of them to itself, by locks that end with it, and is given each once.
    """
    with _ONE_AT_A_TIME:
        return next(_PORTS)


def _ports() -> Iterator[int]:
    folder = Path(tempfile.gettempdir()) / f"lgs-test-ports-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    end = int(EPHEMERAL.read_text().split()[0]) if EPHEMERAL.exists() else 32_768
    blocks = list(range(FIRST_PORT, end - BLOCK_PORTS, BLOCK_PORTS))
    random.shuffle(blocks)
    for block in blocks:
        lock = (folder / str(block)).open("w")
        if _is_ours(lock):
            _LOCKS.append(lock)
            yield from filter(_is_free, range(block, block + BLOCK_PORTS))
        else:
            lock.close()
    raise RuntimeError(f"no block of ports from {FIRST_PORT} to {end} is left")


def _is_ours(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


_ONE_AT_A_TIME = threading.Lock()
_LOCKS: list[IO[str]] = []
_PORTS = _ports()


def shared_port() -> socket.socket:
    """A socket that keeps a port of 127.0.0.1 for processes that share it (`--reuse-port`) and takes no
    connection itself. Without it somebody else's replica could get the port while none of them lives, and
    would share it with them."""
    held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    held.bind(("127.0.0.1", 0))
    return held


def wait_until(ready: Callable[[], bool], what: str, seconds: float = PATIENCE_SECONDS) -> None:
    """Returns as soon as `ready()` holds. Raises `TimeoutError` naming `what` after `seconds`."""
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not so after {seconds:g} s")
        time.sleep(0.02)
