"""Only so many services at a time go over to another stock image, and one that does not work stops there."""

from __future__ import annotations

from typing import Any

import pytest

from lgs_crds import ManifestError, parse
from lgs_operator.desired.deployment import CONTAINER
from lgs_operator.desired.stock_image import at_version, follows_the_operator, stock_image
from lgs_operator.kube.kinds import ServiceKey
from lgs_operator.kube.pods import image_digest
from lgs_operator.settings import SettingsError, from_environment
from lgs_operator.stock_rollouts import StockRollouts, Told, is_on_its_way

OLD, NEW = "stock:1", "stock:2"
DIGEST = "sha256:" + "0a" * 32
MOVES = {"RollingOut", "Starting"}
A, B, C, D = (ServiceKey("team", name) for name in "abcd")


def told(*revisions: tuple[str, str], current: int | None = None, why: str = "Complete", **more: Any) -> Told:
    """A status with these revisions, oldest first, by image and state; the newest is current. `why` is the
    reason of Progressing."""
    numbered = [
        {"revision": number, "image": image, "state": state}
        for number, (image, state) in enumerate(revisions, start=1)
    ]
    progressing = {"type": "Progressing", "status": str(why in MOVES), "reason": why}
    return {
        "revision": current or len(numbered),
        "revisions": numbered[::-1],
        "conditions": [progressing],
        **more,
    }


WAITS = told((OLD, "Ready"))
ROLLS = told((OLD, "Ready"), (NEW, "Progressing"), why="RollingOut")
THERE = told((OLD, "Ready"), (NEW, "Ready"))
FAILED = told((OLD, "Ready"), (NEW, "Failed"))


class Turns:
    """The rollouts of an operator that has just started, and who was woken."""

    def __init__(self, most: int = 2, **known: Told) -> None:
        self.woken: list[ServiceKey] = []
        self.of = StockRollouts(NEW, most, self.woken.append)
        self.of.begin((ServiceKey("team", name), each) for name, each in known.items())

    def asks(self, *keys: ServiceKey) -> list[bool]:
        """Whether each goes over now."""
        return [self.of.why_it_waits(key, OLD, WAITS) is None for key in keys]

    def counts(self) -> list[int]:
        return [self.of.count(state) for state in ("moving", "failed", "waiting")]


def test_so_many_go_over_at_a_time_and_the_next_when_one_has_arrived() -> None:
    turns = Turns(most=2)

    assert turns.asks(A, B, C, D) == [True, True, False, False]
    turns.of.saw(A, ROLLS)
    assert turns.asks(C, A) == [False, True]
    turns.of.saw(A, THERE)
    assert turns.woken == [C]
    assert turns.asks(C, D) == [True, False]
    assert turns.counts() == [2, 0, 1]


def test_an_image_that_does_not_work_reaches_no_more_and_those_that_wait_say_so() -> None:
    turns = Turns(most=1)
    turns.asks(A)
    turns.of.saw(A, FAILED)

    words = turns.of.why_it_waits(B, OLD, WAITS)
    assert words is not None
    assert OLD in words
    assert NEW in words
    assert "1 of which failed" in words
    # it went back by itself, and is not released again
    turns.of.saw(A, told((OLD, "Ready"), (NEW, "Failed"), current=1))
    assert (turns.asks(B), turns.counts()) == ([False], [0, 1, 1])

    mended = told((OLD, "Ready"), (NEW, "Failed"), (NEW, "Ready"))
    turns.of.saw(A, mended)
    assert (turns.woken, turns.asks(B)) == ([B], [True])


@pytest.mark.parametrize(
    ("status", "is_so"),
    [
        (WAITS, False),
        (ROLLS, True),
        (told((OLD, "Ready"), (NEW, "Ready"), why="RollingOut"), True),
        (told((OLD, "Ready"), (NEW, "Ready"), current=1, canary={"revision": 2, "percent": 5}), True),
        (THERE, False),
        (FAILED, True),
        (told((OLD, "Ready"), (NEW, "Progressing"), why="ImagePullBackOff"), True),
        (told((OLD, "Ready"), (NEW, "Progressing")), False),
        (told((OLD, "Ready"), (NEW, "Ready"), why="Unschedulable"), False),
        (told((OLD, "Ready"), (NEW, "Ready"), (NEW, "Progressing"), why="RollingOut"), False),
        (told((OLD, "Ready"), (NEW, "Ready"), (NEW, "Failed")), False),
        (told((NEW, "Progressing"), why="RollingOut"), False),
        (told((OLD, "Failed"), (NEW, "Progressing"), why="RollingOut"), False),
        (told((NEW, "Ready"), (OLD, "Ready"), (NEW, "Progressing"), why="RollingOut"), True),
        (told((NEW, "Ready"), (OLD, "Ready"), (NEW, "Failed")), True),
        (told((NEW, "Ready"), (NEW, "Ready"), (OLD, "Ready"), current=2, why="RollingOut"), True),
        ({}, False),
    ],
    ids=[
        *("waits", "rolls out", "some replicas are new", "a canary", "there", "failed", "no image"),
        *("no replicas are wanted", "no room for all", "its own next release"),
        *("its own next release failed", "a new service", "one that never worked"),
        *("to one that it had", "failed where it had worked", "back to what it had", "nothing told"),
    ],
)
def test_who_is_on_its_way_is_read_from_the_status_so_that_a_new_operator_knows(
    status: Told, is_so: bool
) -> None:
    assert is_on_its_way(status, NEW) == is_so
    assert Turns(most=1, a=status).asks(B) == [not is_so]


def test_a_new_service_and_one_that_fails_with_what_it_runs_wait_for_nobody() -> None:
    turns = Turns(most=1, a=ROLLS)

    assert turns.of.why_it_waits(B, None, {}) is None
    assert turns.of.why_it_waits(C, OLD, told((NEW, "Ready"), (OLD, "Failed"))) is None
    assert turns.counts() == [1, 0, 0]


def test_who_released_nothing_or_is_gone_holds_up_nobody() -> None:
    turns = Turns(most=2)
    turns.asks(A, B, C, D)

    turns.of.saw(A, WAITS)
    turns.of.forget(C)
    turns.of.forget(B)

    assert turns.woken == [C, D]
    assert turns.counts() == [0, 0, 1]


def test_who_is_down_for_what_no_image_mends_waits_and_has_nobodys_place() -> None:
    turns = Turns(most=1)
    no_database = {"type": "Ready", "status": "False", "reason": "DatabaseUnreachable"}
    no_image = no_database | {"reason": "ErrImagePull"}
    down = {**told((OLD, "Ready")), "conditions": [no_database]}

    words = turns.of.why_it_waits(A, OLD, down)
    assert words is not None
    assert "DatabaseUnreachable" in words
    assert turns.asks(B, C) == [True, False]
    turns.of.saw(B, THERE)
    turns.of.saw(D, ROLLS)
    turns.of.saw(D, THERE)
    assert turns.woken == [A, C], "the next is woken, too"
    # it went over before its database was away
    turns.of.saw(B, ROLLS)
    assert turns.of.why_it_waits(B, OLD, down) is None
    turns.of.saw(B, THERE)
    assert turns.of.why_it_waits(A, OLD, {**down, "conditions": [no_image]}) is None


def test_who_was_reconciled_before_all_are_told_of_is_known_better_than_by_that() -> None:
    woken: list[ServiceKey] = []
    rollouts = StockRollouts(NEW, 1, woken.append)
    assert rollouts.is_due(OLD)
    assert not rollouts.is_due(NEW)
    assert not rollouts.is_due(None)

    rollouts.saw(A, THERE)
    rollouts.forget(B)
    rollouts.begin([(A, ROLLS), (B, ROLLS), (C, FAILED)])

    assert [rollouts.count(state) for state in ("moving", "failed")] == [0, 1]
    assert not rollouts.is_due(OLD)


def test_one_that_failed_is_no_less_failed_for_a_pause_and_one_that_wakes_is_on_its_way() -> None:
    turns = Turns(most=2, a=FAILED)
    turns.of.forget(A)
    assert turns.counts() == [0, 0, 0]

    turns.of.saw(A, FAILED)
    turns.of.saw(B, told((OLD, "Ready"), (NEW, "Progressing"), why="RollingOut"))

    assert (turns.asks(C), turns.counts()) == ([False], [1, 1, 1])


@pytest.mark.parametrize(
    ("image", "version", "then"),
    [
        ("ghcr.io/lgs/runtime:0.1.0", "0.2.0", "ghcr.io/lgs/runtime:0.2.0"),
        ("localhost:5000/runtime", "0.2.0", "localhost:5000/runtime:0.2.0"),
        (f"localhost:5000/lgs/runtime:1@{DIGEST}", "0.2.0", "localhost:5000/lgs/runtime:0.2.0"),
        ("runtime:1", DIGEST, f"runtime@{DIGEST}"),
    ],
)
def test_a_version_is_a_tag_or_a_digest_of_the_same_repository(image: str, version: str, then: str) -> None:
    assert at_version(image, version) == then


def service(**spec: Any) -> Any:
    return parse(
        {
            "apiVersion": "lgs.dev/v1alpha1",
            "kind": "LangGraphService",
            "metadata": {"name": "support", "namespace": "team"},
            "spec": spec,
        },
        on_cluster=True,
    )


def test_a_service_with_a_version_stays_with_it_and_one_with_an_image_has_none() -> None:
    code = {"source": {"configMap": "code"}}

    stays = service(**code, runtimeVersion="0.0.9").spec
    assert (stock_image(stays, NEW), follows_the_operator(stays)) == ("stock:0.0.9", False)
    follows = service(**code).spec
    assert (stock_image(follows, NEW), follows_the_operator(follows)) == (NEW, True)
    with pytest.raises(ManifestError, match="not beside image"):
        service(image="a:1", runtimeVersion="0.1.0")


@pytest.mark.parametrize("digest", [DIGEST, "sha512:" + "0a" * 64])
def test_an_image_may_be_named_by_its_digest_and_by_no_half_of_one(digest: str) -> None:
    assert service(image=f"example.com/support@{digest}").spec.image.endswith(digest)
    assert from_environment({"LGS_RUNTIME_IMAGE": f"example.com/runtime@{digest}"}).images.runtime
    with pytest.raises(ManifestError, match="a digest such as"):
        service(image=f"example.com/support@{digest[:-1]}")
    with pytest.raises(SettingsError, match=r"LGS_RUNTIME_IMAGE: .*a digest such as"):
        from_environment({"LGS_RUNTIME_IMAGE": f"example.com/runtime@{digest[:-1]}"})


@pytest.mark.parametrize(
    ("told_by_node", "digest"),
    [
        (f"example.com/support@{DIGEST}", DIGEST),
        (DIGEST, DIGEST),
        ("", None),
        ("docker://0a0a", None),
    ],
)
def test_what_an_image_was_is_told_by_the_node(told_by_node: str, digest: str | None) -> None:
    others = {"name": "sidecar", "imageID": "b@sha256:" + "b" * 64}
    statuses = [others, {"name": CONTAINER, "imageID": told_by_node}]

    assert image_digest({"status": {"containerStatuses": statuses}}, CONTAINER) == digest
    assert image_digest({}, CONTAINER) is None
