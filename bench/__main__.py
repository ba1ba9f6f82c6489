"""`make bench`: the checkpointers, the server over HTTP, then the start of a replica; or one, named first.

`python -m bench [checkpointers|http|startup] [options]`. Without a name, options go to all, so that only
those work which all know.
"""

from __future__ import annotations

import sys

from bench import checkpointers, http, startup

PARTS = {"checkpointers": checkpointers.main, "http": http.main, "startup": startup.main}


def main() -> int:
    """The exit code of what went wrong, else 0."""
    first, *rest = sys.argv[1:] or [""]
    if first in PARTS:
        return PARTS[first](rest)
    return max([part(sys.argv[1:]) for part in PARTS.values()])


if __name__ == "__main__":
    sys.exit(main())
