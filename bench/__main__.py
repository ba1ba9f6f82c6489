"""`make bench`: the checkpointers, the server over HTTP, then the start of a replica; or one, named first.

`python -m bench [checkpointers|http|startup|modes|away|cache] [options]`. Without a name, options go to the
first three, so that only those work which all know. Others are asked for by their names: `modes` compares the
ways to serve many at once, `away` takes the cache's Redis away and gives it back, `cache` plays what the
cache learns on a simulated clock.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Final

from bench import away, cache, checkpointers, http, modes, startup

PARTS: Final[Mapping[str, Callable[[list[str]], int]]] = {
    "checkpointers": checkpointers.main,
    "http": http.main,
    "startup": startup.main,
    "modes": modes.main,
    "away": away.main,
    "cache": cache.main,
}
WHOLE = ("checkpointers", "http", "startup")


def main() -> int:
    """The exit code of what went wrong, else 0."""
    first, *rest = sys.argv[1:] or [""]
    if first in PARTS:
        return PARTS[first](rest)
    return max([PARTS[name](sys.argv[1:]) for name in WHOLE])


if __name__ == "__main__":
    sys.exit(main())
