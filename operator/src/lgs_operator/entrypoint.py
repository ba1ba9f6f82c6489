"""Where the command `lgs-operator` begins: `lgs` is also installed without what talks to a cluster, and then
this command says what it lacks.

A signal to stop ends it from its first instruction on: as process 1 of a container it would be sent none
that it does not handle, and its imports take a second. It has no Lease yet, so nothing is to be given back.
"""

from __future__ import annotations

import os
import signal
import sys

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_WORDS = b'{"event": "operator.stopped", "level": "info", "reason": "asked to stop before it began"}\n'


def main() -> int:
    """Runs the operator; exit code 2 where the extra `cluster` is not installed."""
    for number in _SIGNALS:
        signal.signal(number, _end)
    # The image blocks them before Python starts, so that none is lost.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    try:
        from lgs_operator.main import main as operate  # noqa: PLC0415
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] not in {"kopf", "kubernetes"}:
            raise
        lacks = f"{missing.name}: not installed: the operator needs it"
        sys.stderr.write(f"{lacks}; install the extra: pip install 'lgs-operator[cluster]'\n")
        return 2
    return operate()


def _end(_number: int, _frame: object) -> None:
    os.write(2, _WORDS)
    os._exit(0)
