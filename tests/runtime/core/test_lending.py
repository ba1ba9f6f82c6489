"""Runs that wait for other runs lend what those need: a slot, and a thread where they keep one."""

from __future__ import annotations

import threading
from contextlib import ExitStack

from lgs_runtime.worker.lending import Lending, Slot, Threads, own_slot
from support.ports import PATIENCE_SECONDS


def slot_of(lending: Lending, stack: ExitStack) -> Slot:
    stack.enter_context(lending.held("t"))
    slot = own_slot.get()
    assert slot is not None
    return slot


def test_a_run_lends_its_slot_once_however_many_runs_it_waits_for() -> None:
    lending = Lending(lambda: None)
    with ExitStack() as stack:
        slot, other = slot_of(lending, stack), slot_of(lending, stack)
        assert slot is not other

        with slot.lent(any_may=False, in_thread=False):
            with slot.lent(any_may=False, in_thread=False), other.lent(any_may=False, in_thread=False):
                assert lending.slots == 2
            assert lending.slots == 1
        assert lending.slots == 0


def test_what_a_run_left_behind_lends_no_slot() -> None:
    lending = Lending(lambda: None)
    with ExitStack() as left_behind:
        with ExitStack() as run:
            slot = slot_of(lending, run)
            left_behind.enter_context(slot.lent(any_may=False, in_thread=False))
            assert lending.slots == 1
        assert lending.slots == 0


def test_others_hear_of_a_slot_that_any_run_may_have() -> None:
    heard: list[str] = []
    slot = Slot("t", Lending(lambda: heard.append("free")))

    with slot.lent(any_may=False, in_thread=False):
        assert heard == []
    with slot.lent(any_may=True, in_thread=False):
        assert heard == ["free"]


def test_a_thread_that_waits_for_a_run_keeps_none_from_the_run() -> None:
    lending, woken, began = Lending(lambda: None), threading.Event(), threading.Event()
    with Threads(1) as threads:
        lending.threads = threads
        threads.submit(lambda: (began.set(), woken.wait(PATIENCE_SECONDS)))
        assert began.wait(PATIENCE_SECONDS)
        waited_for = threads.submit(lambda: "done")

        with Slot("t", lending).lent(any_may=False, in_thread=True):
            assert waited_for.result(timeout=PATIENCE_SECONDS) == "done"
        woken.set()

    assert threads._max_workers == 1
