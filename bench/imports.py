"""Which packages an import spends its time in, by Python's own `-X importtime`."""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping


def heaviest(code: str, count: int, environment: Mapping[str, str]) -> dict[str, float]:
    """Seconds in the modules of each top-level package that `code` imports, the slowest `count` of them.

    A module's own time is counted, without that of what it imports in turn.
    """
    command = (sys.executable, "-X", "importtime", "-c", code)
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    found = sorted(by_package(done.stderr).items(), key=lambda each: each[1], reverse=True)
    return dict(found[:count])


def by_package(lines: str) -> dict[str, float]:
    """Reads the report: `import time: <own µs> | <with children µs> | <module>` a line."""
    seconds = defaultdict[str, float](float)
    for line in lines.splitlines():
        own, _, rest = line.removeprefix("import time:").partition("|")
        if line.startswith("import time:") and own.strip().isdigit():
            seconds[rest.rpartition("|")[2].strip().partition(".")[0]] += int(own) / 1e6
    return seconds
