"""Entry point of the command `lgs-runtime`. Modules that are slow to import are imported only after the
handlers for stop signals are set."""

from __future__ import annotations

import sys

from lgs_runtime.stopping import end_as_terminated, end_at_once


def main() -> None:
    """Runs the command."""
    if sys.argv[1:2] == ["serve"]:
        end_at_once()
    else:
        end_as_terminated()
    from lgs_runtime.cli import app  # noqa: PLC0415

    app()


if __name__ == "__main__":
    main()
