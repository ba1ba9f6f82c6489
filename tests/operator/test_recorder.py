"""Events of a service, whatever becomes of the clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast

from structlog.testing import capture_logs

from lgs_crds.reasons import Reason
from lgs_operator.kube.client import KubeClient
from lgs_operator.kube.kinds import Kind, Manifest, ServiceKey
from lgs_operator.kube.recorder import EventRecorder

KEY = ServiceKey("team", "support")


class Written:
    """Takes Events; what is made and counted."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    async def create(self, _: Kind, __: str, manifest: Manifest) -> Manifest:
        self.messages.append(manifest["message"])
        return manifest

    async def merge(self, *_: Any, **__: Any) -> Manifest:
        return {}


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 29, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


async def emitted(recorder: EventRecorder, *messages: str) -> None:
    for message in messages:
        await recorder.emit(KEY, "u1", "Normal", "Starting", message)


async def test_a_service_that_says_too_much_is_heard_again_when_it_was_quiet_for_a_while() -> None:
    written, clock = Written(), Clock()
    recorder = EventRecorder(cast(KubeClient, written), "operator-0", now=clock)

    await emitted(recorder, *(f"many {number}" for number in range(40)))
    clock.now += timedelta(seconds=6)
    await emitted(recorder, "again", "too soon")

    assert written.messages == [*(f"many {number}" for number in range(25)), "again"]


async def test_a_clock_that_is_set_back_silences_no_service() -> None:
    written, clock = Written(), Clock()
    recorder = EventRecorder(cast(KubeClient, written), "operator-0", now=clock)
    await emitted(recorder, "first")

    clock.now -= timedelta(days=1)
    await emitted(recorder, "after", "and after")
    clock.now += timedelta(seconds=6)
    await emitted(recorder, "later")

    assert written.messages == ["first", "after", "and after", "later"]


async def test_alerts_that_flap_keep_no_other_event_from_being_heard() -> None:
    written, clock = Written(), Clock()
    recorder = EventRecorder(cast(KubeClient, written), "operator-0", now=clock)
    flaps: tuple[Reason, ...] = ("AlertFiring", "WebhookFailed", "AlertResolved")
    for number in range(40):
        for reason in flaps:
            await recorder.emit(KEY, "u1", "Warning", reason, f"flap {number}")

    await emitted(recorder, "a release does not work")

    assert len(written.messages) == 26
    assert written.messages[-1] == "a release does not work"


async def test_names_that_replicas_make_up_take_no_other_event_its_place_and_fill_no_log() -> None:
    written, clock = Written(), Clock()
    recorder = EventRecorder(cast(KubeClient, written), "operator-0", now=clock)

    with capture_logs() as logged:
        for number in range(200):
            await recorder.emit(KEY, "u1", "Warning", "CircuitOpened", f"graph made-up-{number}")
            await recorder.emit(KEY, "u1", "Warning", "AlertFiring", f"alert {number}")
        await emitted(recorder, "still heard")

    assert written.messages[-1] == "still heard"
    assert sum("made-up" in each for each in written.messages) == 25
    assert len(logged) == len(written.messages), "what is dropped is not logged either"
