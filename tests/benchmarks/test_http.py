"""The benchmark over HTTP: it reads answers as they come, ends with figures, and leaves nothing running."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench import generator
from bench.figures import Outcome, http_table, percentile
from bench.generator import problem_of
from bench.processes import tree
from bench.trivial import RIGHT
from bench.wire import Reply

from support.ports import PATIENCE_SECONDS, wait_until

ROOT = Path(__file__).parents[2]
BENCH = [sys.executable, "-m", "bench", "http", "--rounds", "1", "--seconds", "0.2", "--warm", "0.1"]
CHUNKED = b'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n\n\r\n7\r\n{"a":1}\r\n0\r\n\r\n'
WHOLE = b"HTTP/1.1 429 Too Many\r\nContent-Length: 4\r\nRetry-After: 2\r\n\r\nfull"


@pytest.mark.parametrize("piece", [1, 3, len(CHUNKED)])
def test_an_answer_is_read_whatever_its_pieces(piece: int) -> None:
    reply, other = Reply(), Reply()

    for at in range(0, len(CHUNKED), piece):
        assert not reply.done
        reply.feed(CHUNKED[at : at + piece])
    for at in range(0, len(WHOLE), piece):
        other.feed(WHOLE[at : at + piece])

    assert (reply.done, reply.status, reply.body) == (True, 200, b'\n{"a":1}')
    assert (other.done, other.status, other.body, other.header("retry-after")) == (True, 429, b"full", "2")


def test_an_answer_that_is_not_the_right_one_is_a_problem() -> None:
    right, wrong, refused = Reply(), Reply(), Reply()
    for reply, text in ((right, json.dumps(RIGHT)), (wrong, '{"__error__": {}}')):
        reply.feed(f"HTTP/1.1 200 OK\r\ncontent-length: {len(text)}\r\n\r\n{text}".encode())
    refused.feed(WHOLE)

    assert problem_of(right, RIGHT) is None
    assert problem_of(wrong, RIGHT) == 'wrong result: {"__error__": {}}'
    assert problem_of(refused, RIGHT) == "status 429: full"


def test_what_a_generator_saw_arrives_whole_though_a_signal_interrupts_it() -> None:
    tells = (
        "import signal; from bench.generator import Seen, tell; "
        "signal.signal(signal.SIGUSR1, lambda *_: None); tell(Seen(answers=[0.25] * 100_000), 1)"
    )
    env = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen([sys.executable, "-c", tells], env=env, stdout=subprocess.PIPE) as telling:
        assert telling.stdout is not None
        pipe = telling.stdout.fileno()
        wait_until(lambda: _held(pipe) > 0 and _sleeps(telling.pid), "it waits for room in the pipe")
        telling.send_signal(signal.SIGUSR1)

        told = json.load(telling.stdout)

    assert len(told["answers"]) == 100_000


class Link:
    """A connection of which an answer comes late, or at once."""

    def __init__(self, turns: int) -> None:
        self.turns = turns

    def close(self) -> None:
        pass


async def test_one_that_is_answered_late_finds_enough_left_for_the_measurement(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def connect(*_: object) -> list[Link]:
        return [Link(1), Link(200)]

    async def requests(_: generator.Job) -> Iterator[bytes]:
        return iter([b"run"] * 20)

    async def asked(link: Link, *_: object) -> None:
        for _ in range(link.turns):
            await asyncio.sleep(0)
        link.turns = 1

    for each in (connect, requests, asked):
        monkeypatch.setattr(generator, each.__name__, each)

    seen = await generator.closed_loop(
        generator.Job("wait", [], clients=2, seconds=0.0, warm_seconds=0.0, runs=20, watched={})
    )

    assert len(seen.answers) >= 2


def _held(pipe: int) -> int:
    """How many bytes wait in a pipe to be read."""
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)


def _sleeps(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"


def test_a_percentile_is_a_value_that_was_measured() -> None:
    values = [float(value) for value in range(1, 101)]

    assert [percentile(values, share) for share in (50, 95, 99)] == [50, 95, 99]
    assert percentile([7.0], 99) == 7.0


def test_the_table_compares_with_the_floor_of_the_same_round() -> None:
    rounds = [Outcome.of(2.0, [0.01] * runs, {}, {"server": runs / 500}) for runs in (200, 100)]

    *_, line = http_table(
        [(("here", "wait", 32), rounds)], [Outcome(rate=400.0), Outcome(rate=100.0)]
    ).splitlines()

    assert line.startswith("| here | wait | 32 | **75 (50–100)** | 10.0 | 10.0 | 10.0 | 2.00 |")
    assert line.endswith("| 0 | 0.38 (0.25–0.50) |")


def test_the_benchmark_measures_each_kind_of_load(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    lines = ["1 replica: wait 32", "stateless 32", "2 replicas: wait 32"]

    told = subprocess.run(
        [*BENCH, "--only", *lines, "--out", str(out)],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )

    assert told.returncode == 0, told.stdout + told.stderr
    cells = json.loads(out.read_text())["cells"]
    assert len(cells) == 4, "PostgreSQL and SQLite have a line of this name each"
    for cell in cells:
        (outcome,) = cell["rounds"]
        assert outcome["rate"] > 0 and not outcome["errors"]
        assert {"server", "generator"} <= outcome["cpu"].keys()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_benchmark_that_is_stopped_leaves_nothing_running(tmp_path: Path, number: signal.Signals) -> None:
    command = [*BENCH, "--only", "SQLite", "PostgreSQL, 1 replica: wait 1", "--seconds", "60"]
    with (tmp_path / "told").open("wb") as told:
        bench = subprocess.Popen([*command, "--out", str(tmp_path / "out")], cwd=ROOT, stdout=told)

    wait_until(lambda: any("bench.generator" in words(pid) for pid in tree(bench.pid)), "a load begins")
    started = set(tree(bench.pid)) - {bench.pid}
    bench.send_signal(number)

    assert bench.wait(PATIENCE_SECONDS) != 0
    assert started and not [pid for pid in started if Path(f"/proc/{pid}").exists()]


def words(pid: int) -> str:
    """The command of a process; nothing when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""
