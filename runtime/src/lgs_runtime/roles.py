"""The role of a replica: to answer requests, to execute runs, or both.

If the roles are separate, API replicas store runs and follow them through the database and Redis; workers
claim and execute them, and answer only the probes.
"""

from __future__ import annotations

from enum import StrEnum

from lgs_runtime.errors import ConfigError
from lgs_runtime.variables import Variables

VARIABLE = "LGS_ROLE"


class Role(StrEnum):
    """The values of `LGS_ROLE`."""

    COMBINED = "combined"
    API = "api"
    WORKER = "worker"

    @property
    def answers(self) -> bool:
        """Whether it serves the API, and not only the probes."""
        return self is not Role.WORKER

    @property
    def executes(self) -> bool:
        """Whether it claims runs, and so has slots and a lease."""
        return self is not Role.API


def role_of(values: Variables, database_uri: str) -> Role:
    """The role in `values`. Raises `ConfigError`, also for separate roles on SQLite: a run that is stored
    where no worker reads it would never begin."""
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
