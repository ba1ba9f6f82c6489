"""Free ports on 127.0.0.1 for the real services that the tests run on, and a bounded wait for a condition."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on at this moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def shared_port() -> socket.socket:
    """A socket that keeps a port of 127.0.0.1 for processes that share it (`--reuse-port`) and takes no
    connection itself. Without it somebody else's replica could get the port while none of them lives, and
    would share it with them."""
    held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    held.bind(("127.0.0.1", 0))
    return held


def wait_until(ready: Callable[[], bool], what: str, seconds: float = 30.0) -> None:
    """Returns as soon as `ready()` holds. Raises `TimeoutError` naming `what` after `seconds`."""
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not so after {seconds:g} s")
        time.sleep(0.02)
