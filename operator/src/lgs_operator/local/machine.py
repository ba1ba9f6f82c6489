"""Resources of the machine: the port that the workers share, ports of their own, and the
lock of a data folder.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
from pathlib import Path
from typing import IO

from lgs_operator.local.errors import LocalError


def reserve(host: str, port: int) -> socket.socket:
    """A socket that keeps `port` (0: any free one) for processes that share it; it takes
    no connections itself.

    Raises `LocalError` if another program listens there.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _bind(probe, host, port)
        port = int(probe.getsockname()[1])
    held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    _bind(held, host, port)
    return held


def _bind(it: socket.socket, host: str, port: int) -> None:
    try:
        it.bind((host, port))
    except OSError as error:
        it.close()
        if error.errno == errno.EADDRINUSE:
            raise LocalError(
                f"port {port} on {host} is in use; stop what listens there, or choose another with --port"
            ) from None
        raise LocalError(
            f"{host}:{port} can't be listened on: {error.strerror}; choose others with --host and --port"
        ) from None


def free_port() -> int:
    """A port on the loopback interface that is now free."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def lock(data_dir: Path) -> IO[str]:
    """Locks `data_dir` for this process until the file is closed. A lock whose holder is dead does not count.

    Raises `LocalError` if another `lgs up` holds it, or nothing can be written there.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        _out_of_git(data_dir.parent)
        file = (data_dir / "lock").open("a+", encoding="utf-8")
    except OSError as error:
        rule = (
            "sessions and logs are kept there, beside the manifest: it must be a folder that can be written"
        )
        raise LocalError(f"{data_dir}: {error.strerror}: {rule}") from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read().strip() or "unknown"
        file.close()
        raise LocalError(
            f"{data_dir} is in use by another lgs up (pid {holder}); stop that one first"
        ) from None
    file.seek(0)
    file.truncate()
    file.write(str(os.getpid()))
    file.flush()
    return file


def is_locked(data_dir: Path) -> bool:
    """Whether the locked folder still exists."""
    return (data_dir / "lock").exists()


def _out_of_git(folder: Path) -> None:
    """Keeps sessions out of the application's repository, as other tools do with their caches."""
    with contextlib.suppress(FileExistsError), (folder / ".gitignore").open("x", encoding="utf-8") as file:
        file.write("*\n")


def left_over(data_dir: Path) -> list[int]:
    """The pids of workers left over from an earlier `lgs up` that ended without draining them. They would
    serve old code on the port.
    """
    try:
        pids = [int(line) for line in (data_dir / "workers").read_text("utf-8").split()]
    except (FileNotFoundError, ValueError):
        return []
    return [pid for pid in pids if _is_worker(pid)]


def remember(data_dir: Path, pids: list[int]) -> None:
    """Writes the workers' pids to a file for `left_over`. The file is replaced as a whole, so that an
    `lgs up` that is killed meanwhile leaves the previous list, not an empty one.
    """
    part = data_dir / "workers.part"
    part.write_text("\n".join(map(str, pids)), "utf-8")
    part.replace(data_dir / "workers")


def _is_worker(pid: int) -> bool:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return b"lgs-runtime" in command or b"lgs_runtime" in command
