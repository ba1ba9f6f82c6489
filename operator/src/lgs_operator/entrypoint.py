"""Entry point of the command `lgs-operator`, and of `lgs-operator dashboard`, the page in a cluster. `lgs`
may be installed without the packages that talk to a cluster; then this command says what is missing.

A signal to stop ends the process from its first instruction on: as process 1 of a container it would not
receive signals that it does not handle, and its imports take a second. It holds no Lease yet, so it has
nothing to give back.
"""

from __future__ import annotations

import os
import signal
import sys

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_WORDS = b'{"event": "operator.stopped", "level": "info", "reason": "asked to stop before it began"}\n'


def main() -> int:
    """Runs the operator, or the page; returns exit code 2 if the extra `cluster` is not installed."""
    for number in _SIGNALS:
        signal.signal(number, _end)
    # The image blocks the signals before Python starts, so that none is lost.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    try:
        if sys.argv[1:] == ["dashboard"]:
            from lgs_operator.dashboard_process import main as run  # noqa: PLC0415
        else:
            from lgs_operator.main import main as run  # noqa: PLC0415
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] not in {"kopf", "kubernetes"}:
            raise
        lacks = f"{missing.name}: not installed: the operator needs it"
        sys.stderr.write(f"{lacks}; install the extra: pip install 'lgs-operator[cluster]'\n")
        return 2
    return run()


def _end(_number: int, _frame: object) -> None:
    os.write(2, _WORDS)
    os._exit(0)
