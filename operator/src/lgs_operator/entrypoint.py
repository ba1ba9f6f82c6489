"""Where the command `lgs-operator` begins: `lgs` is also installed without what talks to a cluster, and then
this command says what it lacks.
"""

from __future__ import annotations

import sys


def main() -> int:
    """Runs the operator; exit code 2 where the extra `cluster` is not installed."""
    try:
        from lgs_operator.main import main as operate  # noqa: PLC0415
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] not in {"kopf", "kubernetes"}:
            raise
        lacks = f"{missing.name}: not installed: the operator needs it"
        sys.stderr.write(f"{lacks}; install the extra: pip install 'lgs-operator[cluster]'\n")
        return 2
    return operate()
