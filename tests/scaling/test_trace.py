"""A recorded load is read as it is published, and what can't be read says where and why."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from pathlib import Path

import pytest

from lgs_operator.simulate.loads import MONDAY, LoadError
from lgs_operator.simulate.trace import Part, read_trace


def written(folder: Path, text: str, name: str = "trace.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8", newline="")
    return path


def test_the_length_of_a_traced_run_comes_from_its_tokens(tmp_path: Path) -> None:
    lines = "TIMESTAMP,GeneratedTokens\n2023-11-16 18:15:50.9951690,100\n2023-11-16T18:15:46Z,0\n"

    load = read_trace(written(tmp_path, lines))

    assert [job.seconds for job in load.jobs] == [0.5, 3.5]
    assert load.jobs[1].at == pytest.approx(4.995169)
    assert load.seconds == 5.0
    assert load.starts_at == 1_700_158_546.0
    assert "sorted by time (1 out of order)" in load.title


FORMS: dict[str, tuple[list[str], list[tuple[float, float]]]] = {
    "BurstGPT": (
        [
            "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type",
            "5,m,9,100,109,c",
            "7,m,9,0,9,c",
        ],
        [(0, 3.5), (2, 0.5)],
    ),
    "BurstGPT with times": (
        ["Timestamp,Session ID,Elapsed time,Response tokens", "5,,2.5,100"],
        [(0, 2.5)],
    ),
    "Azure functions": (
        ["app,func,end_timestamp,duration", "a,f,10.5,0.5", "a,f,13,1"],
        [(0, 0.5), (2, 1)],
    ),
    "from and to": (["created_at;finished_at", "2024-01-01T00:00:00Z;2024-01-01T00:00:04Z"], [(0, 4)]),
    "tabs and ms": (["arrival_time\tduration_ms", "1\t1500"], [(0, 1.5)]),
    "ms since 1970": (["ts,seconds", "1700000000000,1", "1700000001500,2"], [(0, 1), (1.5, 2)]),
    "BOM and CRLF": (["\ufeffTIMESTAMP,duration\r", "1,2\r", "\r", "3,4\r"], [(0, 2), (2, 4)]),
    "Mooncake": (
        [
            '{"timestamp": 0, "input_length": 5, "output_length": 100}',
            "",
            '{"timestamp": 1500, "input_length": 5, "output_length": 0}',
        ],
        [(0, 3.5), (1.5, 0.5)],
    ),
    "JSON": (['{"started_at": "2024-01-01T00:00:00", "latency_ms": 250, "more": {"a": [1]}}'], [(0, 0.25)]),
}


@pytest.mark.parametrize(("lines", "jobs"), FORMS.values(), ids=FORMS)
def test_published_forms_and_common_names_are_read_as_they_are(
    tmp_path: Path, lines: list[str], jobs: list[tuple[float, float]]
) -> None:
    load = read_trace(written(tmp_path, "\n".join(lines) + "\n"))

    assert [(job.at, job.seconds) for job in load.jobs] == jobs


def test_a_trace_may_have_the_prompts_and_trailing_delimiters(tmp_path: Path) -> None:
    lines = f"TIMESTAMP,prompt,duration\n1,{'word ' * 60_000},2\n3,short,4,\n"

    load = read_trace(written(tmp_path, lines))

    assert [(job.at, job.seconds) for job in load.jobs] == [(0, 2), (2, 4)]


def test_a_gzipped_trace_is_the_same_load(tmp_path: Path) -> None:
    lines = "TIMESTAMP,duration\n1,2\n3,4\n"
    zipped = tmp_path / "trace.csv.gz"
    zipped.write_bytes(gzip.compress(lines.encode()))

    assert read_trace(zipped).jobs == read_trace(written(tmp_path, lines)).jobs


def test_without_tokens_the_mean_length_is_given(tmp_path: Path) -> None:
    trace = written(tmp_path, "TIMESTAMP\n" + "".join(f"{number}\n" for number in range(2000)))

    load = read_trace(trace, run_seconds=4.0, seed=1)

    assert sum(job.seconds for job in load.jobs) / 2000 == pytest.approx(4.0, rel=0.1)
    assert load.jobs == read_trace(trace, run_seconds=4.0, seed=1).jobs
    assert load.jobs != read_trace(trace, run_seconds=4.0, seed=2).jobs
    assert load.starts_at == MONDAY


def test_each_name_that_the_column_of_times_may_have_is_told_where_it_has_none(tmp_path: Path) -> None:
    with pytest.raises(LoadError) as raised:
        read_trace(written(tmp_path, "when,GeneratedTokens\n1,2\n"))

    named = str(raised.value).partition("when a run came: ")[2].partition(";")[0].split(", ")
    for name in named:
        assert read_trace(written(tmp_path, f"{name},duration\n0,1\n")).jobs
    assert {"timestamp", "createdat", "requesttime", "ts"} <= set(named)


def test_some_hours_of_a_long_trace_are_played(tmp_path: Path) -> None:
    trace = written(tmp_path, "TIMESTAMP,duration\n" + "".join(f"{3600 * hour},1\n" for hour in range(200)))

    load = read_trace(trace, part=Part(skip_hours=24, hours=3))

    assert [job.at for job in load.jobs] == [0, 3600, 7200]
    assert load.starts_at == MONDAY + 24 * 3600


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ":1: the columns are none; one must say when a run came: timestamp, time"),
        ("when,GeneratedTokens\n1,2\n", ":1: the columns are when, GeneratedTokens; one must say when"),
        ("TIMESTAMP\n", ": no run in it; it must have a line for each run"),
        ("\n\n", ":1: the columns are none; one must say when"),
        ("TIMESTAMP\n1\nsoon\n", ":3: TIMESTAMP is 'soon'; it must be a time such as"),
        ("TIMESTAMP\n1\nnan\n", ":3: TIMESTAMP is 'nan'; it must be a time such as"),
        ("TIMESTAMP\n1\n-inf\n", ":3: TIMESTAMP is '-inf'; it must be a time such as"),
        ("a,TIMESTAMP\n1\n", ":2: TIMESTAMP is ''; it must be a time such as"),
        ("TIMESTAMP,duration\n1,-4\n", ":2: duration is '-4'; it must be a number of at least 0"),
        ("TIMESTAMP,GeneratedTokens\n1,x\n", ":2: GeneratedTokens is 'x'; it must be a number of at least 0"),
        ("start,end\n5,3\n", ":2: end is 2 s before start; it must be after it"),
        ("TIMESTAMP\n0\n999999\n", ": spans 278 h; it must span at most 48 h: pass --hours"),
        ('{"ts": 1}\n{"ts"\n', ":2: Expecting ':' delimiter"),
        ('{"ts": 1}\n[]\n', ":2: '[]'; it must be an object of JSON on one line"),
        ('{"when": 1}\n', ":1: the columns are when; one must say when a run came"),
        ('{"ts": 1, "duration": null}\n', ":1: duration is ''; it must be a number of at least 0"),
        ("TIMESTAMP,duration\n1,2,,\n1,000,2\n", ":3: more fields than the 2 columns; what has a ',' must"),
        (
            "TIMESTAMP;duration\n1;2;3;4\n",
            ":2: more fields than the 2 columns; what has a ';' must be quoted",
        ),
        ('[{"timestamp": 1}]\n', ": a list; it must be CSV or JSON lines, an object of JSON on each"),
        ("TIMESTAMP\n1e308\n0\n", ": spans 2.78e+295 h; it must span at most 48 h"),
        (f"TIMESTAMP\n{'9' * 2_000_000}\n", ":2: a line of more than 1048576 characters; it must be shorter"),
    ],
)
def test_a_trace_that_cannot_be_read_says_where_and_why(tmp_path: Path, text: str, words: str) -> None:
    trace = written(tmp_path, text)

    with pytest.raises(LoadError) as refused:
        read_trace(trace)

    assert str(refused.value).startswith(f"{trace}{words}")
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize(
    "damaged",
    [
        b"TIMESTAMP\n\xff\xfe\n",
        gzip.compress(b"TIMESTAMP\n1\n2\n")[:-9],
        b"\x1f\x8bno gzip at all",
        b"TIMESTAMP\n" + b'"' + b"x\n" * 600_000 + b'"\n',
    ],
    ids=["another encoding", "half a gzip", "no gzip", "an endless field"],
)
def test_bytes_that_are_no_trace_are_refused(tmp_path: Path, damaged: bytes) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_bytes(damaged)

    with pytest.raises(LoadError, match="must be CSV or JSON lines in UTF-8"):
        read_trace(trace)


def test_a_trace_of_any_size_is_read_no_further_than_it_can_be_played(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lgs_operator.simulate.trace.MOST_RUNS", 100)
    trace = written(tmp_path, "TIMESTAMP\n" + "1\n" * 400_000)

    tracemalloc.start()
    try:
        with pytest.raises(LoadError, match=":102: more runs than 100, the most that can be played"):
            read_trace(trace)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert most < trace.stat().st_size


def test_hours_without_a_run_are_told(tmp_path: Path) -> None:
    trace = written(tmp_path, json.dumps({"ts": 1}) + "\n")

    with pytest.raises(LoadError, match="no run in the hours that are asked for"):
        read_trace(trace, part=Part(skip_hours=5))
