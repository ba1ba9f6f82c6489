"""What the operator keeps of a service lasts from when it is seen until it is gone."""

from __future__ import annotations

from typing import Any

import pytest

from lgs_crds import LangGraphService, parse
from lgs_operator.kube.kinds import ServiceKey
from lgs_operator.status.scaling import ScalingView
from lgs_operator.status.states import ServiceState, ServiceStates

KEY, OTHER = ServiceKey("team", "support"), ServiceKey("team", "sales")
MANIFEST: Any = "its manifest"
OBSERVED: Any = "what was observed"
SCALING: Any = "what the autoscaler said"


def known() -> ServiceStates:
    """States of one service of which all is known."""
    states = ServiceStates()
    state = states.of(KEY)
    state.manifest, state.observed, state.scaling = MANIFEST, OBSERVED, SCALING
    return states


def test_what_is_written_of_a_service_is_read_by_all() -> None:
    states = known()

    assert states.seen(KEY) is states.of(KEY)
    assert states.seen(KEY) == ServiceState(MANIFEST, OBSERVED, SCALING)
    assert states.manifests() == {KEY: MANIFEST}


def test_a_service_is_not_remembered_for_being_asked_for() -> None:
    states = ServiceStates()

    states.seen(KEY).manifest = MANIFEST

    assert states.seen(KEY) == ServiceState()
    assert states.manifests() == {}


def test_a_halted_service_is_not_worked_on_and_what_the_autoscaler_said_stands() -> None:
    states = known()
    states.of(OTHER).manifest = MANIFEST

    states.halt(KEY)

    assert states.seen(KEY) == ServiceState(scaling=SCALING)
    assert states.manifests() == {OTHER: MANIFEST}


def test_a_service_that_is_gone_is_forgotten_and_one_of_its_name_begins_anew() -> None:
    states = known()

    states.forget(KEY)
    states.forget(OTHER)

    assert states.of(KEY) == ServiceState()


def service(uid: str) -> LangGraphService:
    metadata = {"name": "support", "namespace": "team", "uid": uid}
    document = {"apiVersion": "lgs.dev/v1alpha1", "kind": "LangGraphService", "metadata": metadata}
    return parse({**document, "spec": {"image": "example.com/support:1"}})


@pytest.mark.parametrize("halted", [False, True])
def test_a_service_that_gets_a_name_anew_has_nothing_of_the_one_before(halted: bool) -> None:
    """It was deleted and made again before anybody saw that it was gone: its alerts fire no more, and its
    load is another."""
    states = ServiceStates()
    states.work_on(KEY, service("1"))
    states.of(KEY).scaling = before = ScalingView(queue=7)
    states.work_on(KEY, service("1"))
    assert states.seen(KEY).scaling is before
    if halted:
        states.halt(KEY)

    states.work_on(KEY, service("2"))

    assert states.seen(KEY).scaling is None
    assert states.manifests()[KEY].metadata.uid == "2"
