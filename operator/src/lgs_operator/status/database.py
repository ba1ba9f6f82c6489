"""What replicas report of a database that can't be used: it can't be reached, or it is not theirs. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from lgs_crds import LangGraphService, Spec
from lgs_crds.reasons import Reason
from lgs_crds.status import DatabaseStatus
from lgs_operator.naming import FORGET_ANNOTATION, claim_name
from lgs_operator.status.diagnosis import Diagnosis
from lgs_operator.status.variables import Named

DATABASE_WORDS: Final[Mapping[str, Reason]] = {
    "the database is empty": "DatabaseEmpty",
    "the database is incomplete": "DatabaseIncomplete",
    "the database is another one": "DatabaseReplaced",
}
"""The runtime's words for each reason; `tests/seams/test_database_words.py` keeps the two in step."""
_OF_DATABASE: Final = re.compile(r"(^|: )(DATABASE_URI|StorageUnavailable): ")
DATABASE_REASONS: Final = frozenset({"DatabaseUnreachable", *DATABASE_WORDS.values()})


def embedded(spec: Spec, named: Named | None) -> str | None:
    """Where sessions are kept if they are in the pods themselves, in words; None if they are in a database.
    `named` is the variable that names one. What a Secret says is not known: it is taken for a database."""
    if named is None:
        return (
            "SQLite in the one replica: sessions go with its pod" if not spec.persistence.postgres else None
        )
    if named is None or named.value is None or not named.value.strip().startswith("sqlite"):
        return None
    return f"SQLite at the path that {named} has: sessions go with the pod, unless a volume keeps that path"


def reached(spec: Spec, named: Named | None) -> str:
    """What is said once a replica is ready."""
    if named is None:
        return "replicas reach the database"
    words = f"replicas reach the database that {named} names"
    if spec.persistence.postgres is not None:
        words += ", not that of spec.persistence.postgres"
    return words


def of_database(service: LangGraphService, database: DatabaseStatus | None, words: str) -> Diagnosis:
    """The diagnosis of what a replica reports, with the way out if the operator knows one."""
    first = words.splitlines()[0]
    reason = next((reason for said, reason in DATABASE_WORDS.items() if said in first), None)
    if reason is None:
        return Diagnosis("DatabaseUnreachable", words)
    if database is None or database.id is None:
        # The database was forgotten just now: replicas that know it are being replaced.
        return Diagnosis(reason, words)
    if reason == "DatabaseIncomplete":
        # The words have the way on, where there is one. Replicas that knew no id would say the same.
        return Diagnosis(reason, f"{words}.{_way_back(service, volume=True)}")
    back = _way_back(service) if reason == "DatabaseEmpty" else ""
    way = f"kubectl annotate lgs {service.metadata.name} {FORGET_ANNOTATION}={database.id} --overwrite"
    return Diagnosis(reason, f"{words}.{back} To begin with what is there instead: {way}")


def _way_back(service: LangGraphService, *, volume: bool = False) -> str:
    """How to get the backups into a managed database, in words: into the one that is there, which must be
    empty, or onto another `volume`. Changing the manifest alone does nothing, even with `restoreFrom`, which
    applies to a new service only."""
    postgres, name = service.spec.persistence.postgres, service.metadata.name
    managed = postgres.managed if postgres is not None else None
    if managed is None or not (managed.backup or managed.restore_from):
        return ""
    source = managed.restore_from.service if managed.restore_from and not managed.backup else name
    without = f", kubectl delete pvc {claim_name(name)}" if volume else ""
    return (
        f" Its backups fill the database of a new service only: kubectl delete lgs {name}{without}, then "
        f"apply it again with spec.persistence.postgres.managed.restoreFrom.service: {source}."
    )


def ended_at_database(
    service: LangGraphService, database: DatabaseStatus | None, found: Diagnosis | None
) -> Diagnosis | None:
    """The diagnosis of pods that ended because of their database; None if something else ended them."""
    if found is None or found.reason != "CrashLoopBackOff":
        return None
    # The first line has the reason; a traceback of the application may follow, with any word in it.
    if _OF_DATABASE.search(found.message.splitlines()[0]) is None:
        return None
    return of_database(service, database, found.message)
