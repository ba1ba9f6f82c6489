"""The id of the database that a service has known, for its replicas: one that starts makes no tables in an
empty database then, and takes no other. Pure.

It is a Secret only because pods can read one without more rights for the operator. They read it when they
start, so that it costs no rollout when the id becomes known; it goes with the service, so that one that is
made again takes what it finds.
"""

from __future__ import annotations

from typing import Final

from lgs_operator.desired.inputs import Inputs, Wanted
from lgs_operator.desired.objects import encoded, owned
from lgs_operator.kube.kinds import SECRET

KEY: Final = "id"


def known_database(inputs: Inputs) -> Wanted:
    """Wanted when the id is known."""
    if inputs.database_id is None:
        return None
    return owned(inputs, SECRET, "database-id") | {
        "type": "Opaque",
        "data": encoded({KEY: inputs.database_id}),
    }
