"""Whether this process serves only the person at its machine, as a development server does.

Claims that can't be verified, such as the mark of LangGraph Studio, may be accepted on a laptop only. In
doubt the answer is no: an address on the loopback interface can be reached through other programs, such as a
proxy on the same machine or in the same pod.
"""

from __future__ import annotations

import ipaddress
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

COMMAND = ("lgs-runtime", "lgs_runtime")
CONTAINER_MARKS = (Path("/.dockerenv"), Path("/run/.containerenv"))
FIRST_COMMAND = Path("/proc/1/cmdline")


@dataclass(frozen=True, slots=True)
class ProcessContext:
    """What distinguishes a laptop from a service."""

    env: Mapping[str, str]
    pid: int
    parent: int
    container: bool
    """Whether this is a container of any kind."""
    first_command: str
    """The command line of the machine's, or the container's, first process."""
    log_is_journal: bool
    """Whether the log goes straight to systemd's journal, as that of its services does."""

    @classmethod
    def detect(cls, env: Mapping[str, str]) -> ProcessContext:
        """Reads the context of this process."""
        return cls(
            env=env,
            pid=os.getpid(),
            parent=os.getppid(),
            container="container" in env or any(mark.exists() for mark in CONTAINER_MARKS),
            first_command=_first_command(),
            log_is_journal=_is_journal(env.get("JOURNAL_STREAM", "")),
        )


def is_loopback(host: str) -> bool:
    """Whether a host name or address refers to the loopback interface."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def not_a_laptop(host: str, process: ProcessContext) -> str | None:
    """Why a replica that listens on `host` may be reached by others than the person who started it; None if
    nothing indicates so."""
    if not is_loopback(host):
        return f"it listens on {host}, which is not the loopback interface"
    if "KUBERNETES_SERVICE_HOST" in process.env:
        return "it runs in a cluster, where a sidecar reaches the loopback interface for others"
    if process.pid == 1 or (process.container and process.parent == 1):
        return "it is what its container was started for"
    if any(name in process.first_command for name in COMMAND):
        return "it is what its container was started for"
    if process.log_is_journal:
        return "it is a service of systemd"
    return None


def _first_command() -> str:
    try:
        return FIRST_COMMAND.read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def _is_journal(stream: str) -> bool:
    """Whether stderr is the file that systemd names in `JOURNAL_STREAM` as `device:inode` (systemd.exec(5)).
    A terminal inherits the variable from the desktop's services, but its stderr is another file."""
    try:
        about = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return stream == f"{about.st_dev}:{about.st_ino}"
