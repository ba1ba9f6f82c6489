"""Watches a Deployment's replicas while something happens: every change of the wanted and the ready number,
with the time at which it was seen here (seconds since the epoch).
"""

from __future__ import annotations

import contextlib
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from e2e.harness.kubectl import Kubectl

COLUMNS = 'jsonpath={.spec.replicas} {.status.replicas} {.status.readyReplicas}{"\\n"}'


@dataclass(frozen=True)
class Seen:
    """The Deployment at one time."""

    at: float
    wanted: int
    ready: int


@dataclass
class Replicas:
    """All that was seen, oldest first."""

    seen: list[Seen] = field(default_factory=list)

    def first_above(self, wanted: int, since: float) -> float | None:
        """When more than `wanted` replicas were first asked for."""
        return next((each.at for each in self.seen if each.at >= since and each.wanted > wanted), None)

    def first_ready(self, count: int, since: float) -> float | None:
        """When `count` replicas were first ready."""
        return next((each.at for each in self.seen if each.at >= since and each.ready >= count), None)

    def most_wanted(self) -> int:
        """The largest number that was asked for."""
        return max((each.wanted for each in self.seen), default=0)


def _numbers(line: str) -> tuple[int, int] | None:
    # An absent number prints as nothing: "2  " is wanted 2, none there, none ready.
    parts = line.rstrip("\n").split(" ")
    if len(parts) != 3 or not parts[0].isdigit():
        return None
    return int(parts[0]), int(parts[2] or 0)


@contextlib.contextmanager
def replicas_of(kubectl: Kubectl, deployment: str) -> Iterator[Replicas]:
    """Collects while the block runs."""
    watch = ["get", "deployment", deployment, "--watch", "-o", COLUMNS]
    command = ["kubectl", "--namespace", kubectl.namespace, *watch]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    result = Replicas()
    assert process.stdout
    lines = iter(process.stdout)

    def note(line: str) -> None:
        numbers = _numbers(line)
        if numbers:
            result.seen.append(Seen(time.time(), *numbers))

    def collect() -> None:
        for line in lines:
            note(line)

    # The first line is the Deployment as it is: only then does the watch miss nothing.
    note(next(lines))
    reader = threading.Thread(target=collect, daemon=True)
    reader.start()
    try:
        yield result
    finally:
        process.terminate()
        process.wait()
        reader.join()
