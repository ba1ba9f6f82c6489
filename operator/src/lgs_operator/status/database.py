"""What replicas say of a database that can't be used: it can't be reached, or it is not theirs. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from lgs_crds import LangGraphService, Spec
from lgs_crds.reasons import Reason
from lgs_crds.status import DatabaseStatus
from lgs_operator.naming import FORGET_ANNOTATION
from lgs_operator.status.diagnosis import Diagnosis

DATABASE_WORDS: Final[Mapping[str, Reason]] = {
    "the database is empty": "DatabaseEmpty",
    "the database is another one": "DatabaseReplaced",
}
"""The runtime's words; `tests/seams/test_database_words.py` holds the two together."""
_VARIABLES: Final = frozenset({"DATABASE_URI", "POSTGRES_URI_CUSTOM", "POSTGRES_URI"})
"""By which the runtime is told of its database."""
_OF_DATABASE: Final = re.compile(r"(^|: )(DATABASE_URI|StorageUnavailable): ")
DATABASE_REASONS: Final = frozenset({"DatabaseUnreachable", *DATABASE_WORDS.values()})


def is_embedded(spec: Spec) -> bool:
    """Sessions are in the pods themselves, as far as the manifest tells: neither it nor a variable of
    `spec.pod.env`, which the runtime takes as any other, names a database."""
    given = (each for each in spec.pod.env if each.name in _VARIABLES and (each.value or each.value_from))
    is_given = any(not (each.value or "").startswith("sqlite") for each in given)
    return spec.persistence.postgres is None and not is_given


def of_database(service: LangGraphService, database: DatabaseStatus | None, words: str) -> Diagnosis:
    """The diagnosis of what a replica says, with the way out where the operator has one."""
    first = words.splitlines()[0]
    reason = next((reason for said, reason in DATABASE_WORDS.items() if said in first), None)
    if reason is None:
        return Diagnosis("DatabaseUnreachable", words)
    if database is None or database.id is None:
        # It was forgotten just now: replicas that know it are on their way out.
        return Diagnosis(reason, words)
    back = _way_back(service) if reason == "DatabaseEmpty" else ""
    way = f"kubectl annotate lgs {service.metadata.name} {FORGET_ANNOTATION}={database.id} --overwrite"
    return Diagnosis(reason, f"{words}.{back} To begin with what is there instead: {way}")


def _way_back(service: LangGraphService) -> str:
    """How a managed database that is empty gets what was backed up: the manifest alone does nothing, also if
    it has `restoreFrom`, which is there for a new service."""
    postgres, name = service.spec.persistence.postgres, service.metadata.name
    managed = postgres.managed if postgres is not None else None
    if managed is None or not (managed.backup or managed.restore_from):
        return ""
    source = managed.restore_from.service if managed.restore_from and not managed.backup else name
    return (
        f" Its backups fill the database of a new service only: kubectl delete lgs {name}, then apply it "
        f"again with spec.persistence.postgres.managed.restoreFrom.service: {source}."
    )


def ended_at_database(
    service: LangGraphService, database: DatabaseStatus | None, found: Diagnosis | None
) -> Diagnosis | None:
    """The diagnosis of pods that ended because of their database; None where they ended by something else."""
    if found is None or found.reason != "CrashLoopBackOff":
        return None
    # The first line has the reason; below may stand a traceback of the application's, with any word in it.
    if _OF_DATABASE.search(found.message.splitlines()[0]) is None:
        return None
    return of_database(service, database, found.message)
