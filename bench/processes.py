"""What processes have used, as Linux accounts for it in `/proc`, and what this one may use."""

from __future__ import annotations

import os
import resource
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PROC = Path("/proc")


def tree(pid: int) -> Iterator[int]:
    """A process and all that it started, as far as they live."""
    yield pid
    for tasks in PROC.glob(f"{pid}/task/*/children"):
        try:
            children = tasks.read_text().split()
        except OSError:  # The thread, or the process, has just ended.
            continue
        for child in children:
            yield from tree(int(child))


def allow_connections() -> None:
    """As many open files as this process may have: each connection is one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@contextmanager
def beside(work: Callable[[threading.Event], None]) -> Iterator[None]:
    """`work` goes on in a thread while the context is open, and is to end when its event is set."""
    over = threading.Event()
    thread = threading.Thread(target=work, args=(over,))
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def cpu_seconds(pids: Iterable[int]) -> float:
    """Processor time, user and system, of processes with all that they started, also what has ended."""
    return sum(_ticks(each) for pid in pids for each in tree(pid)) / TICKS


def wall_seconds(pid: int) -> float:
    """Time since a process began, to a tick of the kernel's clock."""
    up = float((PROC / "uptime").read_text().split()[0])
    return up - int(_read(pid, "stat").rpartition(")")[2].split()[19]) / TICKS


def resident_mib(pids: Iterable[int]) -> float:
    """Memory that processes have now; pages that they share count for each."""
    pages = sum(int(_read(pid, "statm").split()[1]) for pid in pids if _read(pid, "statm"))
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def peak_mib(pid: int) -> float:
    """The most memory that a process has had (`VmHWM`)."""
    status = dict(line.split(":", 1) for line in _read(pid, "status").splitlines())
    return int(status["VmHWM"].split()[0]) / 1024


def _ticks(pid: int) -> int:
    # utime, stime, and those of children that have ended, are fields 14 to 17; the name may have blanks.
    fields = _read(pid, "stat").rpartition(")")[2].split()
    return sum(map(int, fields[11:15]))


def _read(pid: int, name: str) -> str:
    try:
        return (PROC / str(pid) / name).read_text()
    except OSError:
        return ""
