"""`make bench`: the checkpointers, then the server over HTTP; or one of them, named first.

`python -m bench [checkpointers|http] [options]`. Without a name, options go to both, so that only those work
which both know.
"""

from __future__ import annotations

import sys

from bench import checkpointers, http

PARTS = {"checkpointers": checkpointers.main, "http": http.main}


def main() -> int:
    """The exit code of what went wrong, else 0."""
    first, *rest = sys.argv[1:] or [""]
    if first in PARTS:
        return PARTS[first](rest)
    return max([part(sys.argv[1:]) for part in PARTS.values()])


if __name__ == "__main__":
    sys.exit(main())
