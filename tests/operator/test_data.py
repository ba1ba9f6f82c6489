"""What becomes of a managed database's volume, password and version: the decisions, without a cluster."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lgs_crds import LangGraphService, parse
from lgs_operator.desired.credentials import (
    CHANGED_AT_ANNOTATION,
    Credentials,
    Login,
    NotText,
    decide,
    read_credentials,
    seconds_to_take_over,
)
from lgs_operator.desired.known_database import id_in_status, unless_forgotten
from lgs_operator.desired.server_image import ServerImage, image_to_run, recorded_image
from lgs_operator.desired.volume import adopted, growth, unchangeable
from lgs_operator.kube.kinds import Manifest
from lgs_operator.naming import FORGET_ANNOTATION
from lgs_operator.reconcile_plan import taken_by

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
FIRST = Credentials(Login("lgs", "first"), rotated_for=None, changed_at="2026-01-01T00:00:00Z")


def decided(known: Credentials | None, asked: str | None = None, *, followed: bool = True) -> Credentials:
    return decide(known, asked=asked, followed=followed, now=NOW, make=lambda: "made")


def secret(**values: str) -> Manifest:
    data = {name.replace("_", "-"): b64encode(value.encode()).decode() for name, value in values.items()}
    return {"kind": "Secret", "metadata": {"name": "support-postgres"}, "data": data}


def test_a_password_is_made_once() -> None:
    made = decided(None)

    assert made == Credentials(Login("lgs", "made"), changed_at="2026-05-01T12:00:00Z")
    assert decided(made) == made


def test_a_service_that_is_made_with_the_annotation_has_nothing_to_rotate() -> None:
    made = decided(None, "a")

    assert decided(made, "a") == made


def test_a_rotation_takes_the_other_role_and_keeps_the_old_password_until_nobody_uses_it() -> None:
    asked = decided(FIRST, "monday", followed=False)

    assert asked.current == Login("lgs_turn", "made")
    assert asked.previous == FIRST.current
    assert decided(asked, "monday", followed=False) == asked
    assert decided(asked, "monday").previous is None


def test_a_second_rotation_waits_for_the_first_and_turns_back() -> None:
    first = decided(FIRST, "monday", followed=False)

    assert decided(first, "tuesday", followed=False) == first
    second = decided(decided(first, "tuesday"), "tuesday", followed=False)

    assert (second.current.role, second.previous) == ("lgs", first.current)


def waits(credentials: Credentials, carried: set[str | None], seconds: float = 0.0) -> float | None:
    now = NOW + timedelta(seconds=seconds)
    return seconds_to_take_over(credentials, carried, now=now, at_most=10.0)


def test_in_a_rotation_replicas_are_made_anew_when_the_database_has_had_time_to_take_it_over() -> None:
    rotated = decided(FIRST, "monday", followed=False)

    assert waits(rotated, {FIRST.digest}) == 10.0
    assert waits(rotated, {FIRST.digest, rotated.digest}, 4.0) == 6.0
    assert waits(rotated, {FIRST.digest}, 10.0) is None
    assert waits(rotated, {rotated.digest}) is None
    # A clock that was set back, or a note that somebody wrote.
    assert waits(rotated, {FIRST.digest}, -60.0) is None
    assert waits(replace(rotated, changed_at="yesterday"), {FIRST.digest}) is None


def test_replicas_of_a_lost_password_are_made_anew_at_once() -> None:
    lost = decided(None)

    assert waits(lost, {FIRST.digest}) is None


def test_the_secret_of_an_older_operator_has_one_role() -> None:
    assert read_credentials(secret(password="x", uri="…")) == Credentials(Login("lgs", "x"))


def test_what_the_secret_says_is_read_as_it_was_written() -> None:
    known = decided(FIRST, "monday", followed=False)
    written = secret(**{name.replace("-", "_"): value for name, value in known.values().items()})
    written["metadata"]["annotations"] = known.annotations()

    assert read_credentials(written) == known


@pytest.mark.parametrize(
    ("noted", "known"),
    [
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
        ("2026-01-01 03:00", "2026-01-01T03:00:00Z"),
        ("yesterday", None),
        ("", None),
    ],
)
def test_a_time_that_a_hand_wrote_is_one_that_the_status_takes_or_none(noted: str, known: str | None) -> None:
    said = secret(password="x")
    said["metadata"]["annotations"] = {CHANGED_AT_ANNOTATION: noted}

    found = read_credentials(said)

    assert found is not None
    assert found.changed_at == known


@pytest.mark.parametrize("said", [secret(), secret(password=""), {"kind": "Secret", "metadata": {}}, None])
def test_a_secret_without_a_password_is_a_lost_one(said: Manifest | None) -> None:
    assert read_credentials(said) is None


def test_a_role_that_nobody_made_is_not_believed() -> None:
    known = read_credentials(secret(username="postgres", password="x"))

    assert known is not None
    assert known.current.role == "lgs"


def test_a_password_that_is_no_text_is_told_by_its_key() -> None:
    broken = secret(password="x")
    broken["data"]["password"] = b64encode(bytes([0xFF])).decode()

    with pytest.raises(NotText, match="password"):
        read_credentials(broken)


def image(name: str, major: int | None = None) -> ServerImage:
    return ServerImage(name, 70, major)


@pytest.mark.parametrize(
    ("name", "major"),
    [
        ("postgres:17-alpine", 17),
        ("postgres:17", 17),
        ("registry.example.com:5000/team/postgresql:16.4-1@sha256:0123", 16),
        ("registry.example.com:5000/postgres", None),
        ("timescale/timescaledb:2.18.2-pg17", 17),
        ("pgvector/pgvector:pg16", 16),
        ("postgis/postgis:17-3.5-alpine", 17),
        ("mirror/pg:2.1", None),
        ("postgres:latest", None),
        ("postgres@sha256:17ab", None),
        ("localhost/postgres:test", None),
        ("postgres:2024.10.1", None),
    ],
)
def test_the_major_version_is_what_the_tag_begins_with(name: str, major: int | None) -> None:
    assert image(name).version == major


def test_a_release_of_the_same_major_version_reaches_every_service() -> None:
    assert image_to_run(image("postgres:17.2"), image("postgres:17.5-alpine")).name == "postgres:17.5-alpine"


@pytest.mark.parametrize(
    ("recorded", "offered"),
    [
        (image("postgres:16-alpine"), image("postgres:17-alpine")),
        (image("postgres:17-alpine"), image("postgres:16-alpine")),
        (image("mirror/pg:a"), image("mirror/pg:b")),
        (image("mirror/pg:a", 16), image("mirror/pg:b", 17)),
        (image("mirror/pg:a"), image("postgres:17")),
    ],
)
def test_a_server_that_may_not_read_the_volume_is_not_started_on_it(
    recorded: ServerImage, offered: ServerImage
) -> None:
    assert image_to_run(recorded, offered) == recorded


def test_a_major_version_that_is_said_is_enough() -> None:
    assert image_to_run(image("mirror/pg:a", 17), image("mirror/pg:b", 17)).name == "mirror/pg:b"


def test_a_volume_without_a_note_is_served_by_what_serves_it_now() -> None:
    pod = {"securityContext": {"runAsUser": 999}, "containers": [{"image": "postgres:15"}]}
    server = {"spec": {"template": {"spec": pod}}}

    assert recorded_image(claim(), server) == ServerImage("postgres:15", 999)
    assert recorded_image(claim(), None) is None
    assert recorded_image(None, server) is None


def claim(size: str = "1Gi", phase: str = "Bound", **annotations: str) -> Manifest:
    return {
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": "data-support-postgres-0",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "annotations": {
                f"lgs.dev/{name.replace('_', '-')}": value for name, value in annotations.items()
            },
        },
        "spec": {"resources": {"requests": {"storage": size}}},
        "status": {"phase": phase},
    }


@pytest.mark.parametrize(
    ("there", "storage", "grows"),
    [
        (claim("1Gi"), "2Gi", True),
        (claim("1Gi"), "1024Mi", False),
        (claim("2Gi"), "1Gi", False),
        (claim("1Gi", "Pending"), "2Gi", False),
        (None, "2Gi", False),
    ],
)
def test_a_volume_only_grows_and_only_when_it_is_there(
    there: Manifest | None, storage: str, grows: bool
) -> None:
    assert (growth(there, storage) is not None) is grows


def test_what_an_earlier_service_left_is_told_with_its_size_and_age() -> None:
    left = claim("3Gi", service_uid="old")

    assert adopted(left, None, "new") == (
        "volume data-support-postgres-0 (3Gi, made 2026-01-01T00:00:00Z) was there and is used, with its data"
    )
    assert adopted(left, None, "old") is None
    assert adopted(None, None, "new") is None
    assert adopted(left, {"kind": "StatefulSet"}, "new") is None, "it is in use: an older operator's"


def left_behind(kind: str, **metadata: Any) -> Manifest:
    ours = {"lgs.dev/service": "support", "app.kubernetes.io/managed-by": "lgs-operator"}
    return {"kind": kind, "metadata": {"name": "data-support-postgres-0", "labels": ours} | metadata}


def owner(kind: str, uid: str, *, controller: bool, name: str = "support-postgres") -> dict[str, Any]:
    return {"kind": kind, "uid": uid, "controller": controller, "name": name}


@pytest.mark.parametrize(
    ("there", "taken"),
    [
        (left_behind("Secret"), False),
        (left_behind("Secret", labels={}), True),
        (left_behind("Secret", labels={"lgs.dev/service": "support"}), True),
        (left_behind("PersistentVolumeClaim", labels={}), False),
        (left_behind("Service"), False),
        (left_behind("Deployment", labels={"app": "theirs"}), True),
        (left_behind("Service", ownerReferences=[owner("Gateway", "x", controller=True, name="x")]), True),
        (left_behind("Secret", ownerReferences=[owner("LangGraphService", "other", controller=True)]), True),
        (
            left_behind(
                "PersistentVolumeClaim",
                ownerReferences=[owner("LangGraphService", "other", controller=False)],
            ),
            True,
        ),
        (left_behind("Service", ownerReferences=[owner("LangGraphService", "u1", controller=True)]), False),
        (
            left_behind(
                "PersistentVolumeClaim", ownerReferences=[owner("StatefulSet", "set", controller=False)]
            ),
            False,
        ),
        (
            left_behind(
                "PersistentVolumeClaim", ownerReferences=[owner("Backup", "x", controller=True, name="x")]
            ),
            True,
        ),
        (left_behind("PersistentVolumeClaim", name="support-backup", labels={}), True),
        (left_behind("PersistentVolumeClaim", name="support-backup"), False),
    ],
)
def test_only_what_belongs_to_nobody_is_taken_over(there: Manifest, taken: bool) -> None:
    assert (taken_by(there, "u1", "support") is not None) is taken


@pytest.mark.parametrize(
    ("there", "words"),
    [
        (left_behind("Service", labels={}), "hand it over by the labels lgs.dev/service=support and app."),
        (
            left_behind("Service", ownerReferences=[owner("Gateway", "x", controller=True, name="edge")]),
            "belongs to Gateway edge; delete that or",
        ),
        (
            left_behind(
                "Service",
                ownerReferences=[owner("LangGraphService", "old", controller=True, name="support")],
            ),
            "belongs to a service of this name that was deleted, and goes with it",
        ),
    ],
)
def test_what_stands_in_the_way_is_told_with_the_way_out(there: Manifest, words: str) -> None:
    assert words in (taken_by(there, "u1", "support") or "")


def backups_claim(size: str, phase: str = "Bound", storage_class: str | None = None) -> Manifest:
    there = claim(size, phase)
    return there | {"spec": there["spec"] | ({"storageClassName": storage_class} if storage_class else {})}


@pytest.mark.parametrize(
    ("there", "wanted", "words"),
    [
        (backups_claim("1Gi", "Pending"), backups_claim("2Gi"), "size: 2Gi: a claim grows only when it has"),
        (backups_claim("2Gi"), backups_claim("1Gi"), "size: 1Gi: a volume can't shrink; set it to 2Gi again"),
        (backups_claim("1Gi"), backups_claim("2Gi"), "size: 2Gi: its volume can't grow (no such class)"),
        (
            backups_claim("1Gi", storage_class="slow"),
            backups_claim("1Gi", storage_class="fast"),
            "storageClassName: fast: a claim stays in the class",
        ),
        (backups_claim("1Gi"), backups_claim("1024Mi"), None),
        (None, backups_claim("1Gi"), None),
    ],
)
def test_a_claim_that_can_not_change_is_told_by_its_field_its_value_and_the_rule(
    there: Manifest | None, wanted: Manifest, words: str | None
) -> None:
    said = unchangeable(there, wanted, "no such class")

    assert (said is None) if words is None else (words in (said or ""))


def annotated(annotations: dict[str, str]) -> LangGraphService:
    metadata = {"name": "support", "namespace": "team", "annotations": annotations}
    head = {"apiVersion": "lgs.dev/v1alpha1", "kind": "LangGraphService", "metadata": metadata}
    return parse({**head, "spec": {"image": "example.com/support:1"}})


@pytest.mark.parametrize(
    ("status", "annotation", "known"),
    [
        ({}, None, None),
        ({"database": {}}, None, None),
        ({"database": {"id": "one"}}, None, "one"),
        ({"database": {"id": "one"}}, "another", "one"),
        ({"database": {"id": "one"}}, "one", None),
    ],
)
def test_replicas_are_told_the_database_that_the_service_has_known_unless_it_is_to_be_forgotten(
    status: Manifest, annotation: str | None, known: str | None
) -> None:
    service = annotated({} if annotation is None else {FORGET_ANNOTATION: annotation})

    assert id_in_status(service, status) == known


def test_a_database_that_is_to_be_forgotten_is_not_learned_again_from_replicas() -> None:
    service = annotated({FORGET_ANNOTATION: "one"})

    assert [unless_forgotten(service, found) for found in ("one", "two", None)] == [None, "two", None]
