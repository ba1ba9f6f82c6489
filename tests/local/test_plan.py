"""What `lgs up` starts and drains, decided without any process."""

from __future__ import annotations

from lgs_operator.local.plan import Phase, Plan, Situation, Worker, pause_after, plan


def worker(name: str, generation: int = 1, phase: Phase = "ready", started_at: float = 0.0) -> Worker:
    return Worker(name, generation, phase, started_at)


def test_what_is_missing_starts_and_what_is_on_its_way_counts() -> None:
    workers = (worker("a"), worker("b", phase="starting"))

    assert plan(Situation(workers, wanted=4, generation=1), now=0.0) == Plan(start=2)


def test_of_too_many_those_go_that_serve_nothing_yet_then_the_youngest() -> None:
    workers = (
        worker("a", started_at=1.0),
        worker("b", started_at=2.0),
        worker("c", phase="starting", started_at=1.5),
    )

    assert plan(Situation(workers, wanted=1, generation=1), now=0.0) == Plan(drain=("c", "b"))


def test_a_new_generation_comes_one_by_one_and_the_old_drains_only_behind_a_ready_one() -> None:
    old = (worker("a"), worker("b"))

    first = plan(Situation(old, wanted=2, generation=2), now=0.0)
    waiting = plan(Situation((*old, worker("c", 2, "starting")), wanted=2, generation=2), now=0.0)
    second = plan(Situation((*old, worker("c", 2)), wanted=2, generation=2), now=0.0)

    assert first == Plan(start=1)
    assert waiting == Plan()
    assert second == Plan(start=1, drain=("a",))


def test_old_ones_that_never_served_are_not_waited_for() -> None:
    workers = (worker("a", phase="starting"), worker("b"))

    assert plan(Situation(workers, wanted=2, generation=2), now=0.0).drain == ("a",)


def test_more_load_during_a_replacement_gets_its_replicas_at_once() -> None:
    workers = (worker("a"), worker("b", 2, "starting"))

    assert plan(Situation(workers, wanted=5, generation=2), now=0.0) == Plan(start=3)


def test_a_generation_that_cannot_work_leaves_the_old_one_serving() -> None:
    old = (worker("a"), worker("b"))

    assert plan(Situation(old, wanted=3, generation=2, can_work=False), now=0.0) == Plan()


def test_after_crashes_nothing_starts_before_the_pause_is_over() -> None:
    situation = Situation((), wanted=1, generation=1, not_before=10.0)

    assert plan(situation, now=9.0) == Plan()
    assert plan(situation, now=10.0) == Plan(start=1)


def test_draining_ones_are_neither_counted_nor_drained_again() -> None:
    workers = (worker("a", phase="draining"), worker("b"))

    assert plan(Situation(workers, wanted=2, generation=1), now=0.0) == Plan(start=1)


def test_every_replacement_ends_with_the_wanted_number_of_new_ones() -> None:
    for wanted in range(1, 6):
        running = [worker(f"old{n}") for n in range(wanted)]
        for step in range(4 * wanted):
            todo = plan(Situation(tuple(running), wanted, generation=2), now=0.0)
            serving = [each for each in running if each.phase == "ready" and each.name not in todo.drain]
            assert len(serving) >= wanted
            assert len(running) - len(todo.drain) + todo.start <= wanted + 1
            running = [worker(each.name, each.generation) for each in running if each.name not in todo.drain]
            running += [worker(f"new{step}", 2, "starting")] * todo.start
        assert [each.generation for each in running] == [2] * wanted


def test_the_pause_doubles_to_half_a_minute_and_the_first_crash_costs_none() -> None:
    assert [pause_after(crashes) for crashes in (1, 2, 3, 4)] == [0.0, 0.5, 1.0, 2.0]
    assert pause_after(100) == 30.0
