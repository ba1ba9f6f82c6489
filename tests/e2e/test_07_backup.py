"""7. Sessions outlive the loss of their service and its data.

A service is backed up and deleted with its database; a new one begins with the backup, and goes on with every
session, also with those that were in the middle of a run.
"""

from __future__ import annotations

import time

from langgraph_sdk import get_sync_client

from e2e.desk import desk, question, until_condition
from e2e.harness.kubectl import is_ready
from e2e.harness.report import Report
from e2e.story import NAME, RESOURCE, Story

OLD, NEW = "desk", "desk-again"
SESSIONS = 8
LONG = {"steps": 60, "step_seconds": 1.0}
"""A run that is still under way when the backup has been told."""
BACKUP = {"schedule": "0 3 * * *", "keep": 3, "volume": {"size": "1Gi"}}


def test_a_backup_by_hand_holds_every_session(story: Story, report: Report) -> None:
    story.kubectl.apply(desk(story, OLD, backup=BACKUP))
    until_condition(story, OLD, "Ready", "Serving", 240)
    with story.kubectl.forwarded(f"service/{OLD}", 8000) as url:
        client = get_sync_client(url=url)
        for number in range(SESSIONS):
            thread = client.threads.create(metadata={"number": number})["thread_id"]
            short = question(f"question {number}") | {"steps": 1, "step_seconds": 0.01}
            client.runs.wait(thread, "agent", input=short)
        busy = client.threads.create(metadata={"number": SESSIONS})["thread_id"]
        run = client.runs.create(busy, "agent", input=question("a long one") | LONG, durability="sync")

        def is_under_way() -> bool:
            return len((client.threads.get_state(busy)["values"] or {}).get("done", [])) >= 2

        story.kubectl.until("the long run has done two steps", is_under_way, 180)
        began = time.monotonic()
        story.kubectl("create", "job", f"--from=cronjob/{OLD}-backup", "before-the-loss")
        told = until_condition(story, OLD, "BackupReady", "BackedUp", 120)
        report.add(
            "backup of a small service, from the command to the condition", time.monotonic() - began, "s"
        )
        assert client.runs.get(busy, run["run_id"])["status"] == "running", "the backup has a run under way"

    kept = story.kubectl.get(f"langgraphservice/{OLD}")["status"]["backup"]
    assert kept["threads"] == SESSIONS + 1
    assert kept["name"] in told["message"]
    described = story.kubectl("describe", "lgs", OLD)
    assert kept["name"] in described
    assert "BackedUp" in described


def test_a_new_service_goes_on_with_the_sessions_of_one_that_is_gone(story: Story, report: Report) -> None:
    kept = story.kubectl.get(f"langgraphservice/{OLD}")["status"]["backup"]
    story.kubectl("delete", "langgraphservice", OLD, "--wait=true")
    story.kubectl.until(
        "the old database is gone",
        lambda: (
            not story.kubectl("get", "pvc,pods", "-l", f"lgs.dev/service={OLD}", "-o", "name")
            .replace(f"persistentvolumeclaim/{OLD}-backup", "")
            .strip()
        ),
        120,
    )
    began = time.monotonic()

    story.kubectl.apply(desk(story, NEW, restoreFrom={"service": OLD}))
    until_condition(story, NEW, "Ready", "Serving", 240)
    report.add("a new service from a backup, apply to Ready", time.monotonic() - began, "s")

    told = story.kubectl.get(f"langgraphservice/{NEW}")["status"]["restore"]
    assert told == {"result": "Restored"} | {key: kept[key] for key in ("name", "time", "threads")}
    story.kubectl.until_event(NEW, "Restored: ")
    with story.kubectl.forwarded(f"service/{NEW}", 8000) as url:
        client = get_sync_client(url=url)
        threads = {each["metadata"]["number"]: each for each in client.threads.search(limit=100)}
        assert sorted(threads) == list(range(SESSIONS + 1))
        for number in range(SESSIONS):
            short = question("and now?") | {"steps": 1, "step_seconds": 0.01}
            state = client.runs.wait(threads[number]["thread_id"], "agent", input=short)
            said = [each["content"] for each in state["messages"] if each["type"] == "human"]
            assert said == [f"question {number}", "and now?"]
        busy = threads[SESSIONS]["thread_id"]

        def has_ended() -> bool:
            return [each["status"] for each in client.runs.list(busy)] == ["success"]

        story.kubectl.until("the run that was under way ends", has_ended, 180)
        done = client.threads.get_state(busy)["values"]["done"]
        assert done == list(range(LONG["steps"])), "each step is in the session once"
    report.add("sessions that went on in the new service", SESSIONS + 1, f"of {SESSIONS + 1}")


def test_a_service_that_is_up_restores_nothing(story: Story) -> None:
    pods = {pod["metadata"]["uid"] for pod in story.pods() if is_ready(pod)}
    source = {"persistence": {"postgres": {"managed": {"restoreFrom": {"service": OLD}}}}}

    story.kubectl.merge(RESOURCE, {"spec": source})

    def skipped() -> bool:
        return bool(story.service()["status"].get("restore", {}).get("result") == "Skipped")

    story.kubectl.until("the service says that it restores nothing", skipped, 180)
    assert pods <= {pod["metadata"]["uid"] for pod in story.pods()}
    story.kubectl.until_event(NAME, "RestoreSkipped: ")
    story.kubectl("delete", "langgraphservice", NEW, "--wait=true")
    story.kubectl("delete", "pvc", f"{OLD}-backup")
