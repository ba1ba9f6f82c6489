"""How long the local model's answers take by themselves, for measurements of what is around them.

`CUSTOMER_SERVICE_MODEL_TIMES` names a file. Each answer that was given whole adds a line to it: the run, a
number of the call that is the same when the run makes it again, and the seconds.
"""

from __future__ import annotations

import json
import os
import zlib
from pathlib import Path

from langgraph.config import get_config

FILE = os.environ.get("CUSTOMER_SERVICE_MODEL_TIMES", "")


def note(prompt: str, seconds: float) -> None:
    """Adds an answer to a prompt, which took so long."""
    if not FILE:
        return
    try:
        run = str(get_config().get("metadata", {}).get("run_id", ""))
    except RuntimeError:  # Outside of a graph.
        run = ""
    line = json.dumps({"run_id": run, "call": zlib.crc32(prompt.encode()), "seconds": round(seconds, 4)})
    with Path(FILE).open("a", encoding="utf-8") as file:
        file.write(line + "\n")
