"""The own definitions of kinds that a cluster may have or not. `tools/setup/definitions.sh` brings them."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from lgs_operator.kube.kinds import Kind

_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lgs-toolchain"
_BROUGHT = ("prometheus-operator", "gateway-api")


def definitions(kinds: Collection[Kind]) -> list[Path]:
    """The newest of each kind; nothing where one of them is not here."""
    found = [
        sorted(path for folder in _BROUGHT for path in (_CACHE / folder).glob(f"{kind.plural}-*.yaml"))[-1:]
        for kind in kinds
    ]
    return [path for (path,) in found] if all(found) else []
