"""The Prometheus operator's own definitions of its kinds. `tools/setup/definitions.sh` brings them."""

from __future__ import annotations

import os
from pathlib import Path

from lgs_operator.kube.kinds import POD_MONITOR, PROMETHEUS_RULE

_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lgs-toolchain"
DEFINITIONS = [
    sorted((_CACHE / "prometheus-operator").glob(f"{kind.plural}-*.yaml"))[-1:]
    for kind in (POD_MONITOR, PROMETHEUS_RULE)
]
"""The newest of each; nothing where there is none."""
