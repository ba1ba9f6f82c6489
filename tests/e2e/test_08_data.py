"""8. Data outlives mistakes.

A service's StatefulSet, its Secret and the service itself are deleted by hand, its password is rotated in the
middle of runs, its volume is asked to grow, its database is emptied: sessions stay, or the service says what
is wrong and how to go on.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from langgraph_sdk import get_sync_client
from langgraph_sdk.client import SyncLangGraphClient

from e2e.desk import desk, question, until_condition
from e2e.harness.kubectl import CommandFailed
from e2e.harness.report import Report
from e2e.story import Story

LEDGER = "ledger"
SERVER, VOLUME = f"{LEDGER}-postgres", f"data-{LEDGER}-postgres-0"
SERVICE = f"langgraphservice/{LEDGER}"
RUNS = 6
LONG = {"steps": 40, "step_seconds": 1.0}


@contextmanager
def client(story: Story) -> Iterator[SyncLangGraphClient]:
    """One of the replicas that take work."""
    with story.kubectl.forwarded(f"service/{LEDGER}", 8000) as url:
        yield get_sync_client(url=url)


def asked(client: SyncLangGraphClient, thread: str, text: str) -> list[str]:
    """What a person has said in this session so far, with one more question."""
    short = question(text) | {"steps": 1, "step_seconds": 0.01}
    state = client.runs.wait(thread, "agent", input=short)
    return [each["content"] for each in state["messages"] if each["type"] == "human"]


def uid_of(story: Story, what: str) -> str:
    return str(story.kubectl.get(what)["metadata"]["uid"])


def uri(story: Story) -> str:
    return base64.b64decode(story.kubectl.get(f"secret/{SERVER}")["data"]["uri"]).decode()


def opens(story: Story, address: str) -> bool:
    """Whether the database takes this password, asked as replicas ask it: over the network."""
    try:
        story.kubectl("exec", f"{SERVER}-0", "--", "psql", address, "-c", "SELECT 1")
    except CommandFailed as refused:
        assert "password authentication failed" in refused.output, refused.output
        return False
    return True


def event(story: Story, reason: str, seconds: float = 180) -> str:
    """The message of the newest Event of the service with this reason."""
    selector = f"involvedObject.name={LEDGER},reason={reason}"

    def look() -> str | None:
        found = story.kubectl.items("events", "--field-selector", selector)
        return max(found, key=lambda each: each["lastTimestamp"])["message"] if found else None

    return story.kubectl.until(f"an Event {reason}", look, seconds)


def credentials(story: Story) -> str:
    """What the replicas' template says of the password that they are made for."""
    template = story.kubectl.get(f"deployment/{LEDGER}")["spec"]["template"]
    return str(template["metadata"]["annotations"]["lgs.dev/credentials"])


def until_whole(story: Story, seconds: float = 180) -> None:
    """Ready, with every replica of the newest template and the database up."""

    def look() -> bool:
        status = story.kubectl.get(f"deployment/{LEDGER}")
        numbers = [status["status"].get(key, 0) for key in ("replicas", "updatedReplicas", "readyReplicas")]
        current = status["status"].get("observedGeneration") == status["metadata"]["generation"]
        server = story.kubectl.get(f"statefulset/{SERVER}")["status"].get("readyReplicas")
        return current and numbers == [2, 2, 2] and server == 1

    story.kubectl.until(f"{LEDGER} is whole", look, seconds)


def begin_runs(story: Story) -> dict[str, str]:
    """Runs in the middle of their steps: the thread of each."""
    with client(story) as each:
        runs = {}
        for number in range(RUNS):
            thread = each.threads.create()["thread_id"]
            given = question(f"long {number}") | LONG
            runs[thread] = each.runs.create(thread, "agent", input=given, durability="sync")["run_id"]

        def under_way() -> bool:
            states = (each.threads.get_state(thread)["values"] or {} for thread in runs)
            return all(len(state.get("done", [])) >= 2 for state in states)

        story.kubectl.until("every run has done two steps", under_way, 120)
    return runs


def until_ended(story: Story, runs: dict[str, str]) -> None:
    """Every run ends well, with each of its steps in its session once."""
    with client(story) as each:

        def ended() -> bool:
            return {each.runs.get(thread, run)["status"] for thread, run in runs.items()} == {"success"}

        story.kubectl.until("every run ends well", ended, 240)
        for thread in runs:
            assert each.threads.get_state(thread)["values"]["done"] == list(range(LONG["steps"]))


@pytest.fixture(scope="module")
def session(story: Story) -> str:
    """A session of a service with two replicas, which every mistake has to spare."""
    manifest = desk(story, LEDGER, deletionPolicy="Retain")
    manifest["spec"]["replicas"] = 2
    story.kubectl.apply(manifest)
    until_condition(story, LEDGER, "Ready", "Serving", 240)
    until_whole(story)
    with client(story) as each:
        thread = each.threads.create()["thread_id"]
        assert asked(each, thread, "one") == ["one"]
    return str(thread)


def test_a_deleted_stateful_set_comes_back_with_its_sessions(
    story: Story, session: str, report: Report
) -> None:
    old, volume = uid_of(story, f"statefulset/{SERVER}"), uid_of(story, f"pvc/{VOLUME}")
    began = time.monotonic()

    story.kubectl("delete", "statefulset", SERVER)

    story.kubectl.until("a new StatefulSet", lambda: uid_of(story, f"statefulset/{SERVER}") != old, 180)
    until_whole(story)
    report.add("deleted StatefulSet, until the database is back", time.monotonic() - began, "s")
    assert uid_of(story, f"pvc/{VOLUME}") == volume
    with client(story) as each:
        assert asked(each, session, "two") == ["one", "two"]


def test_a_lost_secret_is_repaired_while_runs_go_on(story: Story, session: str, report: Report) -> None:
    before, server = uri(story), uid_of(story, f"pod/{SERVER}-0")
    known = credentials(story)
    runs = begin_runs(story)
    began = time.monotonic()

    story.kubectl("delete", "secret", SERVER)

    story.kubectl.until("a new password", lambda: uri(story) != before, 180)
    report.add("deleted Secret, until there is a new one", time.monotonic() - began, "s")
    assert "was gone" in event(story, "PasswordChanged")
    story.kubectl.until("the database takes it over", lambda: opens(story, uri(story)), 150)
    report.add("… until the database takes it over", time.monotonic() - began, "s")
    assert not opens(story, before)
    # Nobody knows the old password any more: replicas that have it are refused until they have been replaced.
    story.kubectl.until("the replicas follow", lambda: credentials(story) != known, 150)
    until_whole(story)
    until_ended(story, runs)
    with client(story) as each:
        assert asked(each, session, "three") == ["one", "two", "three"]
    assert uid_of(story, f"pod/{SERVER}-0") == server, "the database was not restarted for it"


def test_a_password_is_rotated_in_the_middle_of_runs(story: Story, session: str, report: Report) -> None:
    before, server = uri(story), uid_of(story, f"pod/{SERVER}-0")
    runs = begin_runs(story)
    began = time.monotonic()

    story.kubectl("annotate", SERVICE, "lgs.dev/rotate-password=chapter-8")

    story.kubectl.until("a new password", lambda: uri(story) != before, 180)
    assert opens(story, before), "the old one is valid until nobody needs it"
    event(story, "PasswordRotated", 240)
    report.add("rotation of a password, until the old one is void", time.monotonic() - began, "s")
    story.kubectl.until("the old one is void", lambda: not opens(story, before), 150)
    assert opens(story, uri(story))
    until_ended(story, runs)
    report.add("runs that a rotation met, ended with each step once", RUNS, f"of {RUNS}")
    with client(story) as each:
        assert asked(each, session, "four") == ["one", "two", "three", "four"]
    assert uid_of(story, f"pod/{SERVER}-0") == server, "the database was not restarted for it"


def test_a_volume_that_can_not_grow_says_so_and_the_service_goes_on(story: Story, session: str) -> None:
    def storage(size: str) -> None:
        managed = {"persistence": {"postgres": {"managed": {"storage": size}}}}
        story.kubectl.merge(SERVICE, {"spec": managed})

    storage("2Gi")

    told = until_condition(story, LEDGER, "Reconciled", "VolumeNotExpandable", 180)
    assert "set storage to 1Gi again" in told["message"]
    with client(story) as each:
        assert each.threads.get(session)
    with pytest.raises(CommandFailed, match="a volume can't shrink"):
        storage("512Mi")
    storage("1Gi")
    until_condition(story, LEDGER, "Reconciled", "Done", 180)


def test_a_service_that_is_made_again_finds_its_sessions(story: Story, session: str) -> None:
    manifest = story.kubectl.get(SERVICE)
    again = {key: manifest[key] for key in ("apiVersion", "kind", "spec")}
    volume = uid_of(story, f"pvc/{VOLUME}")
    story.kubectl("delete", SERVICE, "--wait=true")
    story.kubectl.until(
        "the server is gone",
        lambda: not story.kubectl.exists(f"statefulset/{SERVER}", f"pod/{SERVER}-0"),
        120,
    )

    story.kubectl.apply(again | {"metadata": {"name": LEDGER}})

    until_condition(story, LEDGER, "Ready", "Serving", 240)
    assert f"volume {VOLUME} (1Gi, made 20" in event(story, "Adopted")
    assert uid_of(story, f"pvc/{VOLUME}") == volume
    with client(story) as each:
        assert asked(each, session, "five")[-2:] == ["four", "five"]


def test_an_emptied_database_is_told_and_begun_anew_only_when_asked_to(story: Story, report: Report) -> None:
    until_whole(story)
    known = story.kubectl.until(
        "the id is known", lambda: story.kubectl.get(SERVICE)["status"]["database"].get("id"), 60
    )
    began = time.monotonic()

    sql = "DROP SCHEMA public CASCADE; CREATE SCHEMA public"
    story.kubectl("exec", f"{SERVER}-0", "--", "psql", uri(story), "-c", sql)

    told = until_condition(story, LEDGER, "Ready", "DatabaseEmpty", 180)
    report.add("emptied database, until the service says so", time.monotonic() - began, "s")
    assert known in told["message"]
    story.kubectl("delete", "pods", "-l", f"lgs.dev/service={LEDGER},app.kubernetes.io/component=runtime")
    until_condition(story, LEDGER, "PersistenceReady", "DatabaseEmpty", 120)
    count = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
    left = story.kubectl("exec", f"{SERVER}-0", "--", "psql", "-t", "-A", uri(story), "-c", count)
    assert left.strip() == "0", "a replica that starts makes no tables"

    story.kubectl("annotate", SERVICE, f"lgs.dev/forget-database={known}")

    until_condition(story, LEDGER, "Ready", "Serving", 180)
    story.kubectl.merge(SERVICE, {"spec": desk(story, LEDGER)["spec"]})
    story.kubectl.until(
        "the volume goes with the service",
        lambda: story.kubectl.get(f"pvc/{VOLUME}")["metadata"].get("ownerReferences"),
        60,
    )
    story.kubectl("delete", SERVICE, "--wait=true")
    story.kubectl.until("nothing is left", lambda: not story.kubectl.exists(f"pvc/{VOLUME}"), 120)
