"""What `lgs simulate` promises: the same load for each law, each law as it is documented, what goes wrong
when it is asked to, the front, and numbers that meet a target.
"""

from __future__ import annotations

from collections import Counter
from functools import cache
from itertools import pairwise

import pytest

from lgs_operator.scaling import Memory, Observation, Policy, ReplicaSample, decide
from lgs_operator.settings import Settings
from lgs_operator.simulate.candidates import (
    FIXED,
    HPA,
    KEDA,
    KPA,
    OURS,
    PLATFORM,
    QUEUE,
    ROUND_SECONDS,
    compared,
    fixed,
)
from lgs_operator.simulate.comparison import Outcome, compare, play
from lgs_operator.simulate.conditions import Conditions, Fault, fault_of
from lgs_operator.simulate.hpa import HpaMemory, hpa, recommendation
from lgs_operator.simulate.keda import KedaMemory, in_system, platform, waiting
from lgs_operator.simulate.kpa import KpaMemory, kpa
from lgs_operator.simulate.laws import PlainDecision
from lgs_operator.simulate.loads import Load, LoadError, Named, load_of, named, times
from lgs_operator.simulate.record import Job, Timeline
from lgs_operator.simulate.report import picture
from lgs_operator.simulate.service import Simulation

POLICY = Policy(max_replicas=30, slots=8)
SEEDS = (1, 2)
RATE = 20.0
USUAL = Conditions()


@cache
def played(name: Named, seed: int) -> tuple[Load, dict[str, Outcome]]:
    load = named(name, POLICY, rate=RATE, seed=seed)
    return load, {each.law: each for each in compare(compared(POLICY, (20,)), load, USUAL)}


def seen(at: float, *in_use: int, waiting: int = 0, starting: int = 0) -> Observation:
    samples = tuple(
        ReplicaSample(replica=f"r{number}", at=at, slots=8, in_use=used, waiting=waiting)
        for number, used in enumerate(in_use)
    )
    return Observation(at, samples, ready=len(samples), starting=starting)


@cache
def of_all_seeds(name: Named, law: str) -> tuple[float, float, float]:
    """Late runs, replica-hours and changes of a law, in all plays of a load."""
    plays = [played(name, seed)[1][law] for seed in SEEDS]
    return (
        sum(each.late(5) for each in plays),
        sum(each.replica_hours for each in plays),
        sum(each.changes for each in plays),
    )


def is_ahead(name: Named, other: str) -> bool:
    """Better in late runs or in replica-hours, and not worse by more than a tenth in the other."""
    ours, theirs = of_all_seeds(name, OURS), of_all_seeds(name, other)
    ratios = sorted(mine / their for mine, their in zip(ours[:2], theirs[:2], strict=True))
    return ratios[0] < 1 and ratios[1] < 1.1


SUDDEN = (Named.SPIKE, Named.FLASH, Named.BURSTS, Named.STEADY, Named.LONG_TAIL)


@pytest.mark.parametrize("name", SUDDEN)
def test_no_other_law_has_fewer_late_runs_for_the_same_price(name: Named) -> None:
    assert is_ahead(name, HPA)
    assert is_ahead(name, KPA)
    assert of_all_seeds(name, OURS)[1] < of_all_seeds(name, KEDA)[1]
    assert of_all_seeds(name, OURS)[0] < of_all_seeds(name, PLATFORM)[0]
    assert of_all_seeds(name, OURS)[0] < of_all_seeds(name, QUEUE)[0]


@pytest.mark.parametrize("name", SUDDEN)
def test_the_number_of_replicas_changes_less_often_than_knatives(name: Named) -> None:
    assert of_all_seeds(name, OURS)[2] < of_all_seeds(name, KPA)[2]


@pytest.mark.parametrize("name", [Named.SPIKE, Named.FLASH, Named.STEADY, Named.LONG_TAIL])
def test_the_hpa_is_beaten_in_late_runs_and_in_price_where_the_load_grows(name: Named) -> None:
    ours, hpas = of_all_seeds(name, OURS), of_all_seeds(name, HPA)

    assert ours[0] < hpas[0]
    assert ours[1] < hpas[1]


def test_the_hpa_changes_every_15_s_by_twice_or_four_at_most() -> None:
    timeline = played(Named.SPIKE, seed=1)[1][HPA].timeline

    changes = [
        (at, n, m) for (_, n), (at, m) in pairwise(zip(timeline.at, timeline.decided, strict=True)) if n != m
    ]
    assert {(at - changes[0][0]) % 15 for at, _, _ in changes} == {0}
    assert all(after <= max(2 * before, before + 4) for _, before, after in changes)


def test_the_hpa_gives_nothing_back_for_five_minutes() -> None:
    choice = hpa(POLICY, seen(0, 8), HpaMemory(), 0)
    chosen: dict[int, int] = {}
    for at in range(15, 400, 15):
        choice = hpa(POLICY, seen(at, 1, 1), choice.memory, at)
        chosen[at] = choice.replicas

    assert {replicas for at, replicas in chosen.items() if at < 300} == {2}
    assert {replicas for at, replicas in chosen.items() if at >= 300} == {1}


def test_the_hpa_ignores_what_is_within_its_tolerance() -> None:
    assert recommendation([0.80, 0.82], 0.75, starting=0, current=2) == 2
    assert recommendation([0.85, 0.85], 0.75, starting=0, current=2) == 3


def test_the_hpa_counts_starting_replicas_as_idle_when_more_are_wanted() -> None:
    assert recommendation([1.0, 1.0], 0.5, starting=0, current=2) == 4
    assert recommendation([1.0, 1.0], 0.5, starting=2, current=4) == 4
    assert recommendation([1.0, 1.0], 0.5, starting=3, current=5) == 5


def test_the_hpa_keeps_its_number_between_two_syncs() -> None:
    first = hpa(POLICY, seen(0, 8), HpaMemory(), 0)
    early = hpa(POLICY, seen(14, 0, 0), first.memory, 14)
    late = hpa(POLICY, seen(15, 8, 8), early.memory, 15)

    assert (first.replicas, early.replicas, late.replicas) == (2, 2, 3)


def test_knative_panics_at_twice_its_replicas_and_gives_nothing_back_for_a_minute() -> None:
    memory = KpaMemory()
    chosen: dict[int, int] = {}
    for at in range(0, 200, 2):
        waiting = 40 if 60 <= at < 70 else 0
        choice = kpa(POLICY, seen(at, 4, waiting=waiting), memory, at)
        memory, chosen[at] = choice.memory, choice.replicas

    most = max(chosen.values())
    assert chosen[58] == 1
    assert chosen[60] == 4
    assert most == 8
    assert chosen[130] == most
    assert chosen[198] == 1


def test_keda_asks_for_what_is_there_and_the_platform_sees_what_waits_every_30_s() -> None:
    first = in_system(POLICY, seen(0, 8, waiting=20), KedaMemory(), 0)
    listed = waiting(POLICY, seen(0, 8, waiting=20), KedaMemory(), 0)
    polled = platform(POLICY, seen(0, 8, waiting=20), KedaMemory(), 0)
    early = platform(POLICY, seen(15, 8, waiting=90), polled.memory, 15)
    late = platform(POLICY, seen(30, 8, waiting=90), early.memory, 30)

    assert (first.replicas, listed.replicas) == (5, 4)
    assert (polled.replicas, early.replicas, late.replicas) == (2, 2, 6)


def test_a_fixed_number_costs_the_same_whatever_comes() -> None:
    constant = played(Named.SPIKE, seed=1)[1][FIXED]

    assert (constant.most, constant.changes, constant.target) == (20, 0, 20.0)
    assert constant.replica_hours == pytest.approx(20 * 900 / 3600)


def test_the_simulator_decides_as_often_as_the_operator() -> None:
    assert Settings().scale_interval == ROUND_SECONDS == compared(POLICY)[0].interval


def test_no_data_changes_nothing_in_any_law() -> None:
    before = hpa(POLICY, seen(0, 8), HpaMemory(), 0)
    panicked = kpa(POLICY, seen(0, 8, waiting=40), KpaMemory(), 0)
    fed = in_system(POLICY, seen(0, 8, waiting=20), KedaMemory(), 0)

    assert in_system(POLICY, None, fed.memory, 100).replicas == fed.replicas
    assert hpa(POLICY, None, before.memory, 100).replicas == before.replicas
    assert kpa(POLICY, None, panicked.memory, 100).replicas == panicked.replicas


def test_the_same_seed_gives_the_same_numbers_and_another_one_others() -> None:
    first, again, another = (named(Named.SPIKE, POLICY, rate=8.0, seed=seed) for seed in (1, 1, 2))

    assert first == again
    assert first.jobs != another.jobs
    assert compare(compared(POLICY), first, USUAL) == compare(compared(POLICY), again, USUAL)


def test_it_does_not_matter_how_many_processes_play(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lgs_operator.simulate.comparison.WORTH_PROCESSES", 1.0)
    load = named(Named.STEADY, POLICY, rate=2.0)
    candidates = [*(fixed(POLICY, number) for number in range(1, 7)), compared(POLICY)[1]]

    assert compare(candidates, load, USUAL, processes=2) == compare(candidates, load, USUAL)


def test_each_run_is_played_once_whatever_goes_wrong() -> None:
    load = named(Named.SPIKE, POLICY, rate=6.0)

    outcomes = compare(compared(POLICY), load, Conditions(faults=frozenset(Fault)))

    assert {len(each.waits) for each in outcomes} == {len(load.jobs)}


def test_what_goes_wrong_is_felt() -> None:
    load = named(Named.SPIKE, POLICY, rate=RATE)
    well = play(compared(POLICY)[0], load, USUAL)
    slow, full = (
        play(compared(POLICY)[0], load, Conditions(faults=frozenset({each})))
        for each in (Fault.SLOW_START, Fault.SATURATION)
    )

    assert slow.late(5) > well.late(5)
    assert full.latency(0.5) > well.latency(0.5)


def test_a_fifth_of_lost_answers_does_not_keep_a_spikes_replicas_for_ever() -> None:
    load = named(Named.SPIKE, POLICY, rate=30.0)

    blind = play(compared(POLICY)[0], load, Conditions(faults=frozenset({Fault.LOST_SCRAPES})))

    assert blind.timeline.decided[-1] < max(blind.timeline.decided)


def test_runs_that_never_got_a_slot_count_as_waiting() -> None:
    policy = Policy(max_replicas=1, slots=1)
    load = Load("two at once", (Job(1.0, 500.0), Job(1.0, 1.0)), 60.0)

    outcomes = compare(compared(policy), load, Conditions(startup_seconds=5))

    assert [each.late(5) for each in outcomes] == [0.5] * 6
    assert [each.wait(0.95) for each in outcomes] == [59.0] * 6


def test_a_replica_takes_runs_the_moment_it_is_ready_however_seldom_the_law_is_asked() -> None:
    policy = Policy(max_replicas=3, slots=1)
    simulation = Simulation(
        policy, lambda *_: PlainDecision(3, None), None, startup_seconds=7, tick=60, first=1
    )

    record = simulation.play([Job(0.0, 600.0) for _ in range(3)], 300)

    assert sorted(record.waits) == [0.0, 8.0, 8.0]
    assert record.replica_seconds == pytest.approx(300 + 2 * 299)


def test_a_load_without_waits_reads_as_zero() -> None:
    nothing = Outcome("idle", None, (), (), Timeline(), 0.0)

    assert (nothing.late(1), nothing.wait(0.95), nothing.changes, nothing.most) == (0.0, 0.0, 0, 0)


def test_the_picture_shows_load_and_replicas_on_one_time_axis() -> None:
    load, laws = played(Named.SPIKE, seed=1)

    rates, *replicas, axis = picture(load, list(laws.values()))

    assert axis.strip() == "one column is 18 s"
    assert rates.index("▇") > rates.index("▁")
    assert [line.split()[0] for line in replicas] == [OURS, HPA, KEDA, QUEUE, PLATFORM, KPA, FIXED]
    assert {len(line.split("  up to ")[0]) for line in (rates, *replicas)} == {60}


@pytest.mark.parametrize("name", [each for each in Named if each is not Named.DIURNAL])
def test_each_built_in_load_fills_two_thirds_of_the_largest_service_at_its_top(name: Named) -> None:
    load = named(name, POLICY)

    quarters = Counter(job.at // 15 for job in load.jobs)
    assert [job.at for job in load.jobs] == sorted(job.at for job in load.jobs)
    assert 60 < max(quarters.values()) / 15 < 90


def test_a_day_is_calm_at_night_and_busy_after_noon() -> None:
    load = named(Named.DIURNAL, POLICY, rate=1.0)

    hours = [0] * 24
    for job in load.jobs:
        hours[int(job.at // 3600)] += 1
    assert load.seconds == 86_400
    assert hours.index(min(hours)) in range(5)
    assert hours.index(max(hours)) in range(12, 17)


def test_each_run_several_times_is_that_many_runs_at_about_the_same_time() -> None:
    load = named(Named.SPIKE, POLICY, rate=2.0)

    thrice = times(load, 3)

    assert len(thrice.jobs) == 3 * len(load.jobs)
    assert [job.at for job in thrice.jobs] == sorted(job.at for job in thrice.jobs)
    assert 0 <= thrice.jobs[0].at <= thrice.jobs[-1].at <= load.seconds
    assert times(load, 1) == load


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), 1e9, 1e308, 1e-9])
def test_a_rate_that_cannot_be_played_is_refused(rate: float) -> None:
    with pytest.raises(LoadError, match="--rate is"):
        named(Named.STEADY, POLICY, rate=rate)


def test_a_name_that_is_not_there_is_answered_with_those_that_are() -> None:
    with pytest.raises(
        LoadError, match=r"--load is 'burst'; it must be one of spike.*: did you mean bursts\?"
    ):
        load_of("burst")
    with pytest.raises(
        LoadError, match="--fault is 'rain'; it must be one of lost-scrapes, slow-start, saturation"
    ):
        fault_of("rain")
    with pytest.raises(LoadError, match="--times is 0; it must be at least 1"):
        times(named(Named.SPIKE, POLICY, rate=1.0), 0)


def test_a_day_of_decisions_takes_no_more_room_than_its_numbers() -> None:
    simulation = Simulation(POLICY, decide, Memory(), tick=1.5, explained=False)

    record = simulation.play(named(Named.STEADY, POLICY, rate=1.0).jobs, 900)

    assert record.rounds == ()
    assert len(record.timeline.at) == 600
