"""A benchmark that is stopped by hand leaves nothing behind, and says no more than that it stops."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.ports import PATIENCE_SECONDS

ROOT = Path(__file__).parents[2]
PROGRAM = """
import os, signal, sys
from contextlib import ExitStack

from bench.replicas import Ground, Target, process, stop_on_signals

stop_on_signals()
with ExitStack() as stack:
    ground = Ground(stack, [Target("any", postgres=False, redis=True)])
    sleeping = [sys.executable, "-c", "import time; print(1, flush=True); time.sleep(600)"]
    started = stack.enter_context(process(sleeping, os.environ, ground.folder / "log"))
    stack.callback(print, "over", flush=True)
    print(started.pid, ground.redis.pid, ground.folder, flush=True)
    while True:
        signal.pause()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_benchmark_that_is_stopped_ends_what_it_started_and_says_so_in_a_line(
    number: signal.Signals,
) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as program:
        assert program.stdout is not None and program.stderr is not None
        *pids, folder = program.stdout.readline().split()

        program.send_signal(number)
        assert program.stdout.readline() == "over\n"
        program.send_signal(signal.SIGINT)

        assert program.wait(PATIENCE_SECONDS) == 128 + number
        assert program.stderr.read() == f"\n{number.name}: stopping what was started\n"
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    assert not Path(folder).exists()
