"""What a replica says of a database that is not its own is what the operator takes it for."""

from __future__ import annotations

import pytest

from lgs_crds import parse
from lgs_crds.status import DatabaseStatus
from lgs_operator.inspection import database_id_of
from lgs_operator.status.database import of_database
from lgs_runtime.api.schemas.shapes import Readiness
from lgs_runtime.storage.identity import WITHOUT, Found, Relation, incomplete, mismatch
from lgs_runtime.storage.tables import CHECKPOINTS, OWN, columns

KNOWN = "0d9f8a5e-0000-4000-8000-000000000000"
SERVICE = parse(
    {
        "apiVersion": "lgs.dev/v1alpha1",
        "kind": "LangGraphService",
        "metadata": {"name": "support"},
        "spec": {"image": "example.com/support:1"},
    }
)

BACKUP = {"schedule": "@daily", "volume": {}}
MANAGED = parse(
    {
        "apiVersion": "lgs.dev/v1alpha1",
        "kind": "LangGraphService",
        "metadata": {"name": "support"},
        "spec": {
            "image": "example.com/support:1",
            "persistence": {"postgres": {"managed": {"backup": BACKUP}}},
        },
    }
)


@pytest.mark.parametrize(("found", "reason"), [(None, "DatabaseEmpty"), ("theirs", "DatabaseReplaced")])
def test_a_database_that_is_not_the_services_has_a_reason_of_its_own_and_a_way_out(
    found: str | None, reason: str
) -> None:
    words = mismatch(found, KNOWN)
    assert words is not None

    told = of_database(SERVICE, DatabaseStatus(id=KNOWN), f"pod support-1: database: {words}")

    assert told.reason == reason
    assert f"kubectl annotate lgs support lgs.dev/forget-database={KNOWN} --overwrite" in told.message


@pytest.mark.parametrize("lost", ["lgs_cron", "checkpoints"])
def test_a_database_that_lacks_a_table_has_a_reason_of_its_own_and_is_not_to_be_forgotten(lost: str) -> None:
    families = {CHECKPOINTS: {"checkpoints": columns("thread_id")}}
    tables = {**OWN, **families[CHECKPOINTS]}
    there = {name: Relation(names) for name, names in tables.items() if name != lost}
    words = incomplete(Found(there, KNOWN), families, [CHECKPOINTS])
    assert words is not None

    told = of_database(MANAGED, DatabaseStatus(id=KNOWN), f"pod support-1: database: {words}")

    assert told.reason == "DatabaseIncomplete"
    assert f"{lost}: restore from a backup" in told.message
    assert (WITHOUT in told.message) is (lost == "checkpoints")
    assert "forget-database" not in told.message, "replicas that know no id say the same"
    assert (
        "kubectl delete lgs support, kubectl delete pvc data-support-postgres-0, then apply" in told.message
    )


def test_a_database_that_is_the_services_is_none_of_them() -> None:
    assert mismatch(KNOWN, KNOWN) is None


def test_the_id_stands_where_the_operator_looks_for_it() -> None:
    answer = Readiness(ready=True, checks={}, database_id=KNOWN).model_dump()

    assert database_id_of(answer) == KNOWN
    assert database_id_of(answer | {"database_id": "../x"}) is None
    assert database_id_of([]) is None
