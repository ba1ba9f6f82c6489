"""The command `lgs-runtime`, from its first instruction: what takes time is imported once signals to stop
are handled."""

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
