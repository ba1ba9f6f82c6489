"""The slots of a replica add up: what runs, what is kept for a run that comes, and what is lent."""

from __future__ import annotations

import pytest

from lgs_runtime.worker.lending import own_slot
from lgs_runtime.worker.slots import SlotPool


class Replica:
    """A pool of two slots, and the runs in it."""

    def __init__(self) -> None:
        self.running: dict[str, None] = {}
        self.wakes = 0
        self.pool = SlotPool(2, self.running.keys(), self._wake)
        self.pool.open = True

    def _wake(self) -> None:
        self.wakes += 1

    def starts(self, run_id: str) -> None:
        permit = self.pool.permit(run_id)
        assert permit is not None
        permit.use()
        self.running[run_id] = None


def test_a_slot_is_kept_from_the_permit_on_and_counted_once() -> None:
    replica = Replica()

    first = replica.pool.permit("a")
    kept = replica.pool.free
    assert first is not None
    first.use()
    replica.running["a"] = None

    assert (kept, replica.pool.free, replica.pool.used) == (1, 1, 1)


def test_nobody_gets_a_permit_where_there_is_no_slot() -> None:
    replica = Replica()
    replica.starts("a")
    replica.starts("b")

    assert replica.pool.permit("c") is None
    replica.pool.open = False
    del replica.running["a"]
    assert replica.pool.permit("c") is None


def test_a_permit_that_is_given_back_frees_its_slot_once_and_wakes_who_waits() -> None:
    replica = Replica()
    permit = replica.pool.permit("a")
    assert permit is not None

    permit.give_back()
    permit.give_back()
    permit.use()

    assert (replica.pool.free, replica.wakes) == (2, 1)


@pytest.mark.parametrize("doubtful", [True, False])
def test_a_run_that_may_be_stored_as_ours_is_a_reason_to_look(doubtful: bool) -> None:
    replica = Replica()
    permit = replica.pool.permit("a")
    assert permit is not None

    permit.give_back(doubtful=doubtful)

    assert replica.pool.doubtful is doubtful


def test_what_comes_while_the_storage_is_asked_is_known_afterwards() -> None:
    replica = Replica()
    replica.starts("runs")
    about_to_come = replica.pool.permit("comes")
    replica.pool.begin_count()
    assert about_to_come is not None
    about_to_come.use()
    replica.pool.claimed("claimed").use()
    del replica.running["runs"]

    known = replica.pool.end_count()

    assert set(known) == {"runs", "comes", "claimed"}
    assert set(replica.pool.end_count()) == set()


def test_a_lent_slot_is_free_for_another_run() -> None:
    replica = Replica()
    replica.starts("a")
    replica.starts("b")
    with replica.pool.lending.held("thread"):
        slot = own_slot.get()
        assert slot is not None
        with slot.lent(any_may=True, in_thread=False):
            lent = replica.pool.free

    assert (lent, replica.pool.free) == (1, 0)


def test_a_run_that_is_about_to_come_all_the_while_is_known_and_one_that_did_not_come_is_not() -> None:
    replica = Replica()
    comes_later, never_comes = replica.pool.permit("comes"), replica.pool.permit("stays away")
    assert comes_later is not None and never_comes is not None
    never_comes.give_back()
    replica.pool.begin_count()
    begun_meanwhile = replica.pool.permit("refused")
    assert begun_meanwhile is not None
    begun_meanwhile.give_back(doubtful=True)

    known = replica.pool.end_count()

    assert set(known) == {"comes"}


def test_a_doubt_is_not_forgotten_for_a_later_run_of_which_there_is_none() -> None:
    replica = Replica()
    first, second = replica.pool.permit("a"), replica.pool.permit("b")
    assert first is not None and second is not None

    first.give_back(doubtful=True)
    second.give_back()

    assert replica.pool.doubtful


def test_more_runs_than_slots_leave_none_free() -> None:
    replica = Replica()
    for run_id in "abc":
        replica.pool.claimed(run_id)

    assert (replica.pool.free, replica.pool.permit("d")) == (0, None)
