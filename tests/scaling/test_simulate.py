"""What `lgs simulate` promises: the same load for five laws, each as it is documented, and clear words for a
trace that can't be read.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lgs_operator.cli import app
from lgs_operator.scaling import Observation, Policy, ReplicaSample
from lgs_operator.settings import Settings
from lgs_operator.simulate.comparison import HPA, KEDA, KPA, OURS, PENDING, ROUND_SECONDS, Outcome, compare
from lgs_operator.simulate.hpa import HpaMemory, hpa, recommendation
from lgs_operator.simulate.keda import KedaMemory, in_system, pending
from lgs_operator.simulate.kpa import KpaMemory, kpa
from lgs_operator.simulate.loads import Load, LoadError, Named, named
from lgs_operator.simulate.report import picture
from lgs_operator.simulate.service import Job, Simulation
from lgs_operator.simulate.trace import read_trace

MANIFEST = Path(__file__).parent / "service.yaml"
ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8").splitlines()
COMMANDS = [line.split() for line in PAGE if line.startswith("    lgs simulate ")]
POLICY = Policy(max_replicas=30, slots=8)
SEEDS = (1, 2, 3)


@cache
def played(name: Named, seed: int) -> tuple[Load, Outcome, Outcome, Outcome, Outcome, Outcome]:
    load = named(name, POLICY, rate=30.0, seed=seed)
    ours, hpas, kedas, pendings, kpas = compare(POLICY, load, startup_seconds=20)
    return load, ours, hpas, kedas, pendings, kpas


def seen(at: float, *in_use: int, waiting: int = 0, starting: int = 0) -> Observation:
    samples = tuple(
        ReplicaSample(replica=f"r{number}", at=at, slots=8, in_use=used, waiting=waiting)
        for number, used in enumerate(in_use)
    )
    return Observation(at, samples, ready=len(samples), starting=starting)


def is_ahead(ours: Outcome, other: Outcome) -> bool:
    """Better in late runs or in replica-hours, and not worse by more than a tenth in the other."""
    ratios = sorted((ours.late(5) / other.late(5), ours.replica_hours / other.replica_hours))
    return ratios[0] < 1 and ratios[1] < 1.1


@pytest.mark.parametrize("name", list(Named))
@pytest.mark.parametrize("seed", SEEDS)
def test_no_other_law_has_fewer_late_runs_for_the_same_price(name: Named, seed: int) -> None:
    _, ours, hpas, kedas, pendings, knative = played(name, seed)

    assert is_ahead(ours, hpas)
    assert ours.replica_hours < kedas.replica_hours
    assert ours.late(5) < pendings.late(5)
    assert is_ahead(ours, knative)
    assert ours.changes < knative.changes


@pytest.mark.parametrize("name", [Named.SPIKE, Named.STEADY])
@pytest.mark.parametrize("seed", SEEDS)
def test_the_hpa_is_beaten_in_late_runs_and_in_price_where_the_load_grows(name: Named, seed: int) -> None:
    _, ours, hpas, *_ = played(name, seed)

    assert ours.late(5) < hpas.late(5)
    assert ours.replica_hours < hpas.replica_hours


def test_the_hpa_changes_every_15_s_by_twice_or_four_at_most() -> None:
    _, _, other, *_ = played(Named.SPIKE, seed=1)

    numbers = [(each.at, each.decision.replicas) for each in other.record.rounds]
    changes = [(at, n, m) for (_, n), (at, m) in pairwise(numbers) if n != m]
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


def test_keda_asks_for_what_is_there_and_its_poll_sees_what_waits_every_30_s() -> None:
    first = in_system(POLICY, seen(0, 8, waiting=20), KedaMemory(), 0)
    polled = pending(POLICY, seen(0, 8, waiting=20), KedaMemory(), 0)
    early = pending(POLICY, seen(15, 8, waiting=90), polled.memory, 15)
    late = pending(POLICY, seen(30, 8, waiting=90), early.memory, 30)

    assert first.replicas == 5
    assert (polled.replicas, early.replicas, late.replicas) == (2, 2, 6)


def test_the_simulator_decides_as_often_as_the_operator() -> None:
    assert Settings().scale_interval == ROUND_SECONDS


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
    assert compare(POLICY, first, startup_seconds=20) == compare(POLICY, again, startup_seconds=20)


def test_runs_that_never_got_a_slot_count_as_waiting() -> None:
    policy = Policy(max_replicas=1, slots=1)
    load = Load("two at once", (Job(1.0, 500.0), Job(1.0, 1.0)), 60.0)

    outcomes = compare(policy, load, startup_seconds=5)

    assert [each.late(5) for each in outcomes] == [0.5] * 5
    assert [each.p95_wait for each in outcomes] == [59.0] * 5


def test_a_load_without_waits_reads_as_zero() -> None:
    record = Simulation(POLICY, hpa, HpaMemory()).play((), 10)

    nothing = Outcome("idle", record, ())

    assert (nothing.late(1), nothing.p95_wait, nothing.changes) == (0.0, 0.0, 0)


def test_the_picture_shows_load_and_replicas_on_one_time_axis() -> None:
    load, *outcomes = played(Named.SPIKE, seed=1)

    rates, *replicas, axis = picture(load, outcomes)

    assert axis.strip() == "one column is 18 s"
    assert rates.index("▇") > rates.index("▁")
    assert [line.split()[0] for line in replicas] == [OURS, HPA, KEDA, PENDING, KPA]
    assert {line.index("▁") for line in (rates, *replicas)} == {9}


def test_the_length_of_a_traced_run_comes_from_its_tokens(tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text("TIMESTAMP,GeneratedTokens\n2023-11-16 18:15:50.9951690,100\n2023-11-16T18:15:46Z,0\n")

    load = read_trace(trace)

    assert [job.seconds for job in load.jobs] == [0.5, 3.5]
    assert load.jobs[1].at == pytest.approx(4.995169)
    assert load.seconds == 5.0


def test_without_tokens_the_mean_length_is_given(tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text("TIMESTAMP\n" + "".join(f"{number}\n" for number in range(2000)))

    load = read_trace(trace, run_seconds=4.0, seed=1)

    assert sum(job.seconds for job in load.jobs) / 2000 == pytest.approx(4.0, rel=0.1)
    assert load.jobs == read_trace(trace, run_seconds=4.0, seed=1).jobs
    assert load.jobs != read_trace(trace, run_seconds=4.0, seed=2).jobs


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ":1: the columns are none; one must be TIMESTAMP"),
        ("time,GeneratedTokens\n1,2\n", ":1: the columns are time, GeneratedTokens; one must be TIMESTAMP"),
        ("TIMESTAMP\n", ": no run in it; it must have a line for each run after the line of columns"),
        ("TIMESTAMP\n1\nsoon\n", ":3: TIMESTAMP is 'soon'; it must be a time such as"),
        ("TIMESTAMP\n1\nnan\n", ":3: TIMESTAMP is 'nan'; it must be a time such as"),
        ("a,TIMESTAMP\n1\n", ":2: TIMESTAMP is ''; it must be a time such as"),
        (
            "TIMESTAMP,GeneratedTokens\n1,-4\n",
            ":2: GeneratedTokens is '-4'; it must be a number of at least 0",
        ),
        ("TIMESTAMP,GeneratedTokens\n1,x\n", ":2: GeneratedTokens is 'x'; it must be a number of at least 0"),
        ("TIMESTAMP\n0\n999999\n", ": spans 278 h; it must span at most 48 h"),
    ],
)
def test_a_trace_that_cannot_be_read_says_where_and_why(tmp_path: Path, text: str, words: str) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text(text)

    with pytest.raises(LoadError) as refused:
        read_trace(trace)

    assert str(refused.value).startswith(f"{trace}{words}")


def test_a_trace_in_another_encoding_is_refused(tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_bytes(b"TIMESTAMP\n\xff\xfe\n")

    with pytest.raises(LoadError, match="must be CSV in UTF-8"):
        read_trace(trace)


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), 1e9])
def test_a_rate_that_cannot_be_played_is_refused(rate: float) -> None:
    with pytest.raises(LoadError, match="--rate is"):
        named(Named.STEADY, POLICY, rate=rate)


def test_the_command_shows_the_laws_side_by_side() -> None:
    result = CliRunner().invoke(app, ["simulate", str(MANIFEST), "--load", "spike", "--rate", "10"])

    assert result.exit_code == 0
    assert "1 to 30 replicas of 8 slots, ready after 20 s" in result.stdout
    for words in ("replica-hours", OURS, HPA, KEDA, PENDING, KPA, "one column is 18 s"):
        assert words in result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--trace", "missing.csv"], "missing.csv"),
        (["--trace", "any.csv", "--rate", "3"], "--trace is given with --load or --rate"),
        (["--rate", "0"], "--rate is 0.0; it must be a number above 0"),
    ],
)
def test_the_command_refuses_with_a_reason(arguments: list[str], words: str) -> None:
    result = CliRunner().invoke(app, ["simulate", str(MANIFEST), *arguments])

    assert result.exit_code == 2
    assert words in result.stderr
    assert "Traceback" not in result.output


def rows(lines: list[str], edge: str) -> list[list[str]]:
    """The cells of the rows of laws in a table whose columns are parted by `edge`."""
    cells = [
        [cell.strip() for cell in line.strip(edge).split(edge)] for line in lines if line.startswith(edge)
    ]
    return [each[-7:] for each in cells if each[-7:][0] in {OURS, HPA, KEDA, PENDING, KPA}]


def test_the_table_of_the_documentation_is_what_its_commands_print(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)

    printed: list[list[str]] = []
    for command in COMMANDS:
        result = CliRunner().invoke(app, command[1:])
        printed += rows(result.stdout.splitlines(), "│")

    assert len(printed) == 5 * len(COMMANDS) == 20
    assert printed == rows(PAGE, "|")
