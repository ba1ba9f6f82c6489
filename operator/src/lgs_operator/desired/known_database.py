"""The id of the database that a service has known, for its replicas: a replica that has it creates no tables
in an empty database, and uses no other database. Pure.

It is a Secret only because pods can read one without more rights for the operator. They read it when they
start, so that no rollout is needed when the id becomes known. It is deleted with the service, so that a
service that is created again uses the database that it finds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from lgs_crds import LangGraphService
from lgs_crds.status import status_before
from lgs_operator.desired.inputs import Inputs, Wanted
from lgs_operator.desired.objects import encoded, owned
from lgs_operator.kube.kinds import SECRET
from lgs_operator.naming import FORGET_ANNOTATION

KEY: Final = "id"


def known_database(inputs: Inputs) -> Wanted:
    """The Secret with the id. Wanted when the id is known."""
    if inputs.database_id is None:
        return None
    return owned(inputs, SECRET, "database-id") | {
        "type": "Opaque",
        "data": encoded({KEY: inputs.database_id}),
    }


def id_in_status(service: LangGraphService, before: Mapping[str, Any]) -> str | None:
    """The id of the service's database in its status; None if that is the one to be forgotten."""
    known = status_before(before).database
    return unless_forgotten(service, None if known is None else known.id)


def unless_forgotten(service: LangGraphService, found: str | None) -> str | None:
    """`found`; None if it is the id to be forgotten. This also applies to what a replica reports, or an id
    would be forgotten and learned in turns without end."""
    return None if found == service.metadata.annotations.get(FORGET_ANNOTATION) else found
