"""What a replica is there for: to answer requests, to execute runs, or both.

Where they are apart, replicas that answer store runs, and follow them by the database and Redis; those that
execute claim them, and answer the probes alone.
"""

from __future__ import annotations

from enum import StrEnum

from lgs_runtime.errors import ConfigError
from lgs_runtime.variables import Variables

VARIABLE = "LGS_ROLE"


class Role(StrEnum):
    """As `LGS_ROLE` says it."""

    COMBINED = "combined"
    API = "api"
    WORKER = "worker"

    @property
    def answers(self) -> bool:
        """It serves the API, not the probes alone."""
        return self is not Role.WORKER

    @property
    def executes(self) -> bool:
        """It claims runs: it has slots, and a lease by which its runs are its own."""
        return self is not Role.API


def role_of(values: Variables, database_uri: str) -> Role:
    """The role in `values`. Raises `ConfigError`: a run that is stored where no worker reads would never
    begin."""
    text = values.text(VARIABLE, Role.COMBINED).lower()
    if text not in list(Role):
        raise ConfigError(f"{VARIABLE}: {text}: must be one of {', '.join(Role)}")
    role = Role(text)
    if role is not Role.COMBINED and database_uri.startswith("sqlite"):
        raise ConfigError(
            f"{VARIABLE}: {text}: must be combined without a PostgreSQL in DATABASE_URI, which replicas that "
            "answer and replicas that execute share"
        )
    return role
