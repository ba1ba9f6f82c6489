"""What replicas say of a database that can't be used: it can't be reached, or it is not theirs. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from lgs_crds import LangGraphService
from lgs_crds.reasons import Reason
from lgs_crds.status import DatabaseStatus
from lgs_operator.naming import FORGET_ANNOTATION
from lgs_operator.status.diagnosis import Diagnosis

DATABASE_WORDS: Final[Mapping[str, Reason]] = {
    "the database is empty": "DatabaseEmpty",
    "the database is another one": "DatabaseReplaced",
}
"""The runtime's words; `tests/seams/test_database_words.py` holds the two together."""
DATABASE_REASONS: Final = frozenset({"DatabaseUnreachable", *DATABASE_WORDS.values()})


def of_database(service: LangGraphService, database: DatabaseStatus | None, words: str) -> Diagnosis:
    """The diagnosis of what a replica says, with the way out where the operator has one."""
    reason = next((reason for said, reason in DATABASE_WORDS.items() if said in words), None)
    if reason is None:
        return Diagnosis("DatabaseUnreachable", words)
    known = "ID" if database is None or database.id is None else database.id
    way = f"kubectl annotate lgs {service.metadata.name} {FORGET_ANNOTATION}={known} --overwrite"
    return Diagnosis(reason, f"{words}. To begin with what is there instead: {way}")
