"""`lgs up` for real: it serves, replaces workers with every session intact, mends crashes, and drains."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from lgs_operator.local.machine import left_over
from lgs_operator.local.service import Options
from lgs_operator.local.supervisor import Supervisor
from lgs_operator.local.view import View
from support.as_before import signals_as_before
from support.leases import end_lease
from support.up import Up, up_with_example

MANIFEST = """
apiVersion: lgs.dev/v1alpha1
kind: LangGraphService
metadata: {name: tried}
spec:
  graphs: {agent: ./graph.py:graph}
  scaling: {mode: Manual}
  replicas: 1
  workers: {concurrency: 4, drainSeconds: 2}
"""


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    with up_with_example(tmp_path / "service", MANIFEST) as it:
        yield it


def test_it_serves_and_a_change_of_the_code_replaces_every_worker_with_its_sessions_intact(up: Up) -> None:
    # In the second half of this time a step may come to its end, so that it does not run twice.
    two = MANIFEST.replace("replicas: 1", "replicas: 2").replace("drainSeconds: 2", "drainSeconds: 30")
    up.manifest.write_text(two)
    up.serve()
    up.wait(lambda: len(up.workers()) == 2)
    before = set(up.workers())
    thread, run = up.session(steps=500, step_seconds=0.3)
    up.wait(lambda: len(up.done(thread)) >= 2)

    graph = up.folder / "graph.py"
    up.write(graph, graph.read_text().replace("Looked into it", "Thought about it"))
    up.wait(lambda: not before & set(up.workers()))
    at_the_change = len(up.done(thread))
    up.wait(lambda: len(up.done(thread)) >= at_the_change + 2)

    done = up.done(thread)
    assert done == list(range(len(done)))
    assert up.steps_that_ended_twice() == []
    quick, other = up.session(steps=1, step_seconds=0.1)
    up.wait(lambda: up.status(quick, other) == "success")
    answer = up.client.get(f"/threads/{quick}/state").json()["values"]["messages"][-1]["content"]
    assert "Thought about it" in answer
    up.client.post(f"/threads/{thread}/runs/{run}/cancel", params={"wait": True})
    assert up.end() == 0
    assert up.said("all workers have ended")


def test_a_killed_worker_is_replaced_and_its_run_goes_on_from_its_last_checkpoint(up: Up) -> None:
    up.lease_seconds = 30.0
    up.serve()
    (victim,) = up.workers()
    thread, run = up.session(steps=6, step_seconds=0.5)
    up.wait(lambda: len(up.done(thread)) >= 2)

    os.kill(victim, signal.SIGKILL)
    up.wait(lambda: up.said("was killed by SIGKILL; replaced now\n"))
    end_lease(f"sqlite:///{up.folder}/.lgs/tried/lgs.db", "tried-1")
    up.wait(lambda: up.status(thread, run) == "success")

    assert up.done(thread) == list(range(6))
    assert victim not in up.workers()


def test_what_cannot_work_says_why_and_recovers_when_the_file_is_mended(up: Up) -> None:
    graph = up.folder / "graph.py"
    good = graph.read_text()
    graph.write_text("raise RuntimeError('no such model')\n")

    up.start()
    up.wait(lambda: up.said("can't work: .*no such model"))
    up.wait(lambda: up.said("waiting for a change"))
    up.write(graph, good)

    up.wait(lambda: up.said("serves on"))
    assert up.client.get("/ready").status_code == 200


def test_a_variable_at_fault_ends_it_with_what_mends_that_for_no_change_of_a_file_does(up: Up) -> None:
    up.manifest.write_text(MANIFEST.replace("replicas: 1", "replicas: 2"))
    up.environment = {"LGS_LEASE_SECONDS": "soon"}

    up.start()

    assert up.refused()
    said = up.log.read_text("utf-8")
    assert "LGS_LEASE_SECONDS is set in the environment of lgs up: set it anew, and start lgs up" in said
    assert said.count("LGS_LEASE_SECONDS: soon: must be a number") == 1
    assert "waiting for a change" not in said


def test_a_database_of_another_kind_ends_it_with_the_option_that_names_it(up: Up) -> None:
    up.more = ["--database-uri", "mysql://me:secret@127.0.0.1/x"]

    up.start()

    assert up.refused()
    assert up.said("DATABASE_URI: mysql://me:.*@127.0.0.1/x: must be sqlite:///path or postgresql://")
    assert up.said("--database-uri says DATABASE_URI: start lgs up with another")
    assert not up.said("secret")


def test_a_variable_at_fault_that_the_manifest_sets_is_mended_there(up: Up) -> None:
    up.environment = {"LGS_LEASE_SECONDS": "5"}
    wrong = "  pod: {env: [{name: LGS_LEASE_SECONDS, value: soon}]}\n"
    up.manifest.write_text(MANIFEST + wrong)

    up.start()
    up.wait(lambda: up.said("waiting for a change of the files\n"))
    up.write(up.manifest, MANIFEST)
    up.wait(lambda: up.said("serves on"))


def test_a_change_that_cannot_work_says_that_what_was_there_serves_on_and_ctrl_c_how_long_it_drains(
    up: Up,
) -> None:
    up.serve()
    before = up.workers()

    up.write(up.folder / "graph.py", "raise RuntimeError('no such model')\n")
    up.wait(lambda: up.said("what served before goes on serving; waiting for a change"))
    up.wait(lambda: up.workers() == before)
    up.end()

    assert up.said("draining tried-1, 2 s at most; Ctrl-C again ends them at once")


def test_a_manifest_that_breaks_while_it_runs_changes_nothing_and_says_what_is_wrong(up: Up) -> None:
    up.serve()
    before = up.workers()

    up.write(up.manifest, MANIFEST.replace("concurrency: 4", "concurrency: 0"))
    up.wait(lambda: up.said("spec.workers.concurrency: 0: must be at least 1"))

    assert up.workers() == before
    assert up.client.get("/ready").status_code == 200


def test_a_manifest_that_cannot_work_is_refused_at_the_start(up: Up) -> None:
    up.manifest.write_text(MANIFEST.replace("mode: Manual", "mode: Sometimes"))

    up.start()

    assert up.refused()
    assert up.said("spec.scaling.mode: Sometimes: must be one of")


def test_a_port_in_use_is_named_with_the_way_out(up: Up) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", up.port))
        other.listen()

        up.start()

        assert up.refused()
    assert up.said(rf"port {up.port} on 127.0.0.1 is in use; .*--port")


def test_a_second_lgs_up_on_the_same_data_is_refused(up: Up) -> None:
    up.serve()
    second = Up(up.folder)
    second.log = up.folder.parent / "second.log"

    try:
        second.start()

        assert second.refused()
    finally:
        second.close()
    assert second.said(r"in use by another lgs up \(pid \d+\)")


def test_decisions_that_can_not_be_written_any_more_end_nothing(up: Up) -> None:
    written = up.folder.parent / "decisions" / "history.jsonl"
    written.parent.mkdir()
    up.more = ["--history", str(written)]
    up.serve()
    up.wait(written.exists)
    before = up.workers()

    written.parent.rename(up.folder.parent / "taken")  # in one step: what is written meanwhile is in none
    up.wait(lambda: up.said("--history: .*history.jsonl: No such file or directory: decisions are lost"))
    thread, run = up.session(steps=1, step_seconds=0.1)
    up.wait(lambda: up.status(thread, run) == "success")

    assert up.workers() == before


def test_a_log_that_is_taken_away_ends_nothing_and_the_folder_of_the_sessions_ends_all_with_its_name(
    up: Up,
) -> None:
    up.serve()
    (worker,) = up.workers()

    (up.folder / ".lgs" / "tried" / "logs").rename(up.folder.parent / "logs")
    thread, run = up.session(steps=1, step_seconds=0.1)
    up.wait(lambda: up.status(thread, run) == "success")
    os.kill(worker, signal.SIGKILL)
    up.wait(lambda: worker not in up.workers() and len(up.workers()) == 1)

    (up.folder / ".lgs").rename(up.folder.parent / "taken")
    assert up.refused()
    assert up.said(r"/\.lgs/tried: was taken away, and the sessions that were kept there are gone; start")


class Broken(View):
    """Fails when it is to say that the service serves."""

    def say(self, line: str) -> None:
        if "serves on" in line:
            raise RuntimeError("the terminal is gone")


async def test_what_ends_lgs_up_by_a_failure_leaves_no_worker_in_the_next_ones_way(up: Up) -> None:
    kept = {name: text for name, text in os.environ.items() if name not in {"DATABASE_URI", "REDIS_URI"}}
    options = Options(up.manifest, port=up.port, env=kept)

    async with signals_as_before():
        with pytest.raises(ExceptionGroup, match="unhandled errors"):
            await Supervisor(options, Broken()).run()

    assert up.workers()
    up.log.touch()
    up.wait(lambda: not left_over(up.folder / ".lgs" / "tried"))


SICK = """
from pathlib import Path
from langgraph.graph import StateGraph

async def work(state: dict) -> dict:
    if Path(__file__).with_name("sick.txt").exists():
        raise ConnectionError("the model is away")
    return state

graph = StateGraph(dict).add_node("work", work).set_entry_point("work").compile()
"""


def test_it_says_when_the_circuit_of_a_graph_opens_is_tried_and_closes(up: Up) -> None:
    breaker = "circuitBreaker: {minimumCalls: 2, failureThreshold: 0.5, recoverySeconds: 1, probes: 1}"
    up.manifest.write_text(f"{MANIFEST}  {breaker}\n")
    (up.folder / "graph.py").write_text(SICK)
    sick = up.folder / "sick.txt"
    sick.touch()
    up.serve()

    def asked() -> int:
        return up.client.post("/runs/wait", json={"assistant_id": "agent", "input": {"a": 1}}).status_code

    up.wait(lambda: asked() == 503)
    sick.unlink()
    up.wait(lambda: asked() == 200)
    up.wait(lambda: up.said("is closed"))

    assert up.said(r"graph agent: its circuit is open: 2 of 2 runs failed \(100%, and 50% are too many\); ")
    assert up.said(
        r"tried again in 1 s\n(.*\n)*.*half-open: 1 run is tried(.*\n)*.*closed: runs are taken again"
    )
