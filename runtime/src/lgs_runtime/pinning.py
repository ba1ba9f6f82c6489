"""How a replica takes threads that are pinned to revisions: the variables for that."""

from __future__ import annotations

from typing import Final, get_args

from lgs_runtime.errors import ConfigError
from lgs_runtime.model import Pinning
from lgs_runtime.variables import Variables

VARIABLE: Final = "LGS_PINNING"
NAME: Final = "LGS_REVISION"


def pinning_of(values: Variables) -> Pinning | None:
    """How the replica takes pinned threads; None: it takes no account of pins. Raises `ConfigError`, also
    for a replica whose revision has no name to pin a thread to."""
    text = values.text(VARIABLE, "").lower()
    if not text:
        return None
    found = next((each for each in get_args(Pinning) if each == text), None)
    if found is None:
        raise ConfigError(f"{VARIABLE}: {text}: must be one of {', '.join(get_args(Pinning))}")
    if not values.text(NAME, ""):
        raise ConfigError(f"{VARIABLE}: {text}: needs {NAME}, the name that threads are pinned to")
    pinning: Pinning = found
    return pinning
