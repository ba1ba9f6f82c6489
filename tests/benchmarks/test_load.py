"""The play of ten thousand sessions: its plan, its judgement of answers, and a small play from end to end."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

from bench.conversations import PRIORITIES, conversations, read_trace
from bench.panel import Account, Memory, added, busiest, panel
from bench.sessions import Asked, streamed_answers

ROOT = Path(__file__).parents[2]


def test_all_conversations_are_open_in_the_middle_of_the_play() -> None:
    planned = conversations(read_trace(), count=2000, seconds=240.0, seed=1)

    ends = [
        each.starts_at + sum(turn.think_seconds + turn.seconds for turn in each.turns) + each.stays_seconds
        for each in planned
    ]
    assert max(each.starts_at for each in planned) <= 30.0
    assert min(ends) >= 210.0
    assert {each.priority for each in planned} == set(PRIORITIES)


def test_the_turns_are_spread_over_the_play() -> None:
    planned = conversations(read_trace(), count=2000, seconds=240.0, seed=1)
    begins = [
        each.starts_at
        + sum(turn.think_seconds + turn.seconds for turn in each.turns[:place])
        + each.turns[place].think_seconds
        for each in planned
        for place in range(len(each.turns))
    ]

    windows = Counter(int(begin // 10) for begin in begins)

    assert max(windows.values()) < 1.5 * len(begins) / 24


def test_a_play_can_be_repeated() -> None:
    trace = read_trace()

    assert conversations(trace, 50, 60.0, seed=7) == conversations(trace, 50, 60.0, seed=7)
    assert conversations(trace, 50, 60.0, seed=7) != conversations(trace, 50, 60.0, seed=8)


def test_the_answer_is_found_in_a_stream() -> None:
    stream = (
        b'event: metadata\ndata: {"run_id":"1"}\nid: 1-1\n\n: heartbeat\n\n'
        b'event: custom\ndata: "a piece"\nid: 1-2\n\n'
        b'event: updates\ndata: {"look_up":{"found":"it"}}\nid: 1-3\n\n'
        b'event: updates\ndata: {"answer":{"answers":["0: question 7"]}}\nid: 1-4\n\n'
    )

    assert streamed_answers(stream) == ["0: question 7"]
    assert streamed_answers(stream + b'event: error\ndata: {"error":"E"}\n\n') == ['data: {"error":"E"}']
    assert streamed_answers(b"") == []


def test_the_panel_tells_the_time_of_the_service_from_that_of_the_model() -> None:
    turns = [
        Asked(priority="high", streams=True, model=3.0, ended_at=5.0, total=3.25, first=0.5),
        Asked(priority="low", streams=False, model=2.0, ended_at=15.0, total=2.75, refusals=1),
        Asked(priority="low", streams=False, model=2.0, ended_at=16.0, total=9.0, problem="status 500"),
    ]
    memory = Memory(start=100.0, idle=110.0, peak=150.0, end=120.0)

    shown = panel(Account(turns, 1000, 990, 40, 20.0, memory, 3, 1, {"server": 0.3}))

    assert [added(turn) for turn in turns[:2]] == [0.25, 0.75]
    assert busiest(turns) == 0.2
    assert "| all: added by the service | 2 | 0.500 | 0.250 | 0.750 | 0.750 | 0.750 |" in shown
    assert "| high: added by the service | 1 | 0.250 |" in shown
    assert "66.667 %, 1 errors; refused and repeated 1 times" in shown
    assert "| MiB for 1,000 idle sessions | 10.0 |" in shown
    assert "| MiB for 1,000 sessions in the play | 50.0 |" in shown
    assert "3 hits of 4 (75 %)" in shown
    assert "server 100.0" in shown


def test_a_small_play_gives_every_turn_its_answer(tmp_path: Path) -> None:
    out = tmp_path / "load.json"
    command = [sys.executable, "-m", "bench.load", "--sessions", "20", "--minutes", "0.05", "--out", str(out)]

    told = subprocess.run(
        command,
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )

    assert told.returncode == 0, told.stdout + told.stderr
    assert "100.000 %, 0 errors" in told.stdout
    kept = json.loads(out.read_text())
    assert kept["sessions"] == 20 and kept["cache_hits"] + kept["cache_misses"] > 0
