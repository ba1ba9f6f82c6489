"""With `encryption` of langgraph.json, what the service keeps reveals nothing, and what it answers is
complete."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from api_replicas import Replica, open_replica
from api_secrets import SECRET, secret
from langgraph_sdk.errors import APIStatusError

from lgs_runtime.backup import export_to, import_from
from lgs_runtime.encryption.context import taking_sealed
from lgs_runtime.graphs.manifest import GraphSpec
from lgs_runtime.model import FINAL, Page, Run
from lgs_runtime.runs.admission import new_run
from lgs_runtime.runs.requests import RunRequest
from lgs_runtime.settings import Settings
from lgs_runtime.storage.queries import AssistantQuery, ThreadQuery
from support import ciphers
from support.at_rest import postgres_at_rest, redis_at_rest, sqlite_at_rest
from support.leases import REAPS_PER_LONG_LEASE
from support.receiver import receiving
from support.unhurried import patience

NOBODY_LISTENS = "http://127.0.0.1:9/hook"
YEARLY = "0 0 1 1 *"


@pytest.fixture(autouse=True)
def fresh_handlers() -> Iterator[None]:
    ciphers.told.clear()
    ciphers.broken.clear()
    yield
    ciphers.broken.clear()


@pytest.fixture
def plain(alone: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """A service of the test's own, with the graph that has secrets. Runs of the dead are soon found, and the
    events of runs are in Redis however late it answers."""
    monkeypatch.setattr("lgs_runtime.background.duties.REAPS_PER_LEASE", REAPS_PER_LONG_LEASE)
    with patience():
        yield replace(alone, graphs={"agent": GraphSpec("api_secrets:keeps_secrets")})


@pytest.fixture
def sealed(plain: Settings) -> Settings:
    """The same, with encryption."""
    return replace(plain, encryption_path="support.ciphers:encryption")


async def at_rest(settings: Settings) -> dict[str, bytes]:
    """All that the service keeps."""
    if settings.database_uri.startswith("sqlite:"):
        return sqlite_at_rest(settings.data_dir)
    assert settings.redis_uri is not None
    mine = f"lgs:{settings.service}:"
    keys = {name: value for name, value in redis_at_rest(settings.redis_uri).items() if name.startswith(mine)}
    assert any("stream" in name for name in keys), "the events are in Redis"
    return {**await postgres_at_rest(settings.database_uri), **keys}


async def asked(replica: Replica, **more: Any) -> str:
    """A thread that waits with a question."""
    thread_id = str((await replica.client.threads.create(metadata={"note": secret("metadata")}))["thread_id"])
    answer = await replica.client.runs.wait(
        thread_id,
        "agent",
        input={"text": secret("input")},
        metadata={"why": secret("run")},
        config={"configurable": {"style": secret("config")}},
        context={"mood": secret("context")},
        **more,
    )
    assert answer["__interrupt__"][0]["value"] == {"question": secret("question")}
    return thread_id


async def until_final(replica: Replica, run_id: str) -> Run:
    """The run, when it has ended."""
    run = await replica.services.notifier.finished(run_id)
    assert run is not None and run.status in FINAL
    return run


async def left_behind(replica: Replica, **more: Any) -> str:
    """A run that a replica had begun which died then."""
    services, ghost = replica.services, f"ghost-{uuid4()}"
    lease = await services.storage.leases.take(ghost)
    assistant = (await services.storage.assistants.search(AssistantQuery()))[0]
    request = RunRequest(assistant="agent", input={"text": secret("input")}, context={"mood": "calm"}, **more)
    new = new_run(request, assistant, str(uuid4()))
    stored = await services.storage.queue.enqueue(new, services.settings.queue_limits, ghost)
    assert stored.claimed
    await lease.close()
    return new.run_id


async def test_an_answer_that_is_less_than_the_values_is_kept_sealed_too(sealed: Settings) -> None:
    settings = replace(sealed, graphs={"agent": GraphSpec("api_outputs:private_asks")})
    async with open_replica(settings) as replica:
        client = replica.client
        thread = (await client.threads.create())["thread_id"]
        await client.runs.wait(thread, "agent", input={"question": "q"})
        await client.runs.wait(thread, "agent", command={"resume": secret("answer")})
        run = (await client.runs.list(thread))[0]

        kept = await at_rest(settings)

        assert [place for place, content in kept.items() if SECRET.encode() in content] == []
    async with open_replica(replace(settings, replica_id="b")) as replica:
        joined = await replica.client.runs.join(thread, run["run_id"])
        assert joined == {"answer": f"told {secret('answer')}"}


async def test_nothing_is_kept_plain_and_everything_is_answered_plain(sealed: Settings) -> None:
    async with open_replica(sealed) as replica:
        client = replica.client
        waiting = await asked(replica, webhook=f"{NOBODY_LISTENS}?key={SECRET}")
        failed = await asked(replica)
        await client.runs.wait(failed, "agent", command={"resume": "fail"}, raise_error=False)
        done = await asked(replica)
        await client.runs.wait(done, "agent", command={"resume": secret("answer")})
        await client.threads.update(done, metadata={"more": secret("patch")})
        await client.threads.update_state(done, {"text": secret("state")})
        copy = (await client.threads.copy(done))["thread_id"]
        assistant = await client.assistants.create(
            "agent",
            config={"configurable": {"style": secret("assistant's config")}},
            context={"mood": secret("assistant's context")},
            metadata={"team": secret("assistant")},
        )
        cron = await client.crons.create(
            "agent", schedule=YEARLY, input={"text": secret("cron")}, metadata={"who": secret("cron's note")}
        )
        await client.store.put_item(["notes"], "mine", {"text": secret("store")})
        delayed = await client.runs.create(
            waiting, "agent", input={"text": secret("delay")}, after_seconds=900
        )
        alone = await client.runs.wait(None, "agent", input={"text": secret("stateless")})
        async with httpx.AsyncClient(base_url=replica.url) as http:
            body = {"description": secret("description"), "metadata": {"tag": secret("version")}}
            made = await http.post(f"/threads/{done}/versions", json=body)
            assert made.status_code < 300, made.text
            exported = (await http.get(f"/threads/{done}/export")).content
            again = await http.post("/threads/import", params={"if_exists": "new"}, content=exported)
            assert again.status_code < 300, again.text

        kept = await at_rest(sealed)

        assert [place for place, content in kept.items() if SECRET.encode() in content] == []
        assert b"".join(kept.values()).count(b"enc:") > 20

    # Another process, with the same handlers.
    async with open_replica(replace(sealed, replica_id="b")) as replica:
        client = replica.client
        thread = await client.threads.get(waiting)
        run = (await client.runs.list(waiting))[-1]
        state = await client.threads.get_state(waiting)
        trail = await replica.services.storage.audit.of_thread(failed, Page())
        version = (await replica.services.storage.versions.of_thread(done, Page()))[0]
        found_assistant = await client.assistants.get(assistant["assistant_id"])

        assert thread["metadata"]["note"] == secret("metadata")
        assert thread["values"]["notes"] == {
            "mood": secret("context"),
            "kept": secret("store of the graph"),
        }
        assert next(iter(thread["interrupts"].values()))[0]["value"] == {"question": secret("question")}
        assert run["metadata"]["why"] == secret("run")
        assert run["kwargs"]["input"] == {"text": secret("input")}
        assert run["kwargs"]["config"]["configurable"]["style"] == secret("config")
        assert state["values"]["text"] == secret("input")
        assert state["metadata"]["why"] == secret("run")
        assert (await client.threads.get(failed))["status"] == "error"
        assert f"ValueError: {secret('error')}" in [entry.details.get("error") for entry in trail]
        for thread_id in (done, copy, again.json()["thread_id"]):
            assert (await client.threads.get(thread_id))["metadata"]["more"] == secret("patch")
            latest = await client.threads.get_state(thread_id)
            assert (latest["values"]["text"], latest["values"]["answer"]) == (
                secret("state"),
                secret("answer"),
            )
        assert secret("answer").encode() in exported
        assert found_assistant["context"] == {"mood": secret("assistant's context")}
        assert found_assistant["config"]["configurable"]["style"] == secret("assistant's config")
        assert (await client.crons.search())[0]["payload"]["input"] == {"text": secret("cron")}
        assert cron["cron_id"] == (await client.crons.search())[0]["cron_id"]
        assert (await client.store.get_item(["notes"], "mine"))["value"] == {"text": secret("store")}
        assert (await client.runs.get(waiting, delayed["run_id"]))["kwargs"]["input"]["text"] == secret(
            "delay"
        )
        assert alone["text"] == secret("stateless")
        assert (version.description, version.metadata["tag"]) == (secret("description"), secret("version"))
        await client.runs.cancel(waiting, delayed["run_id"], wait=True)
        end = await client.runs.wait(waiting, "agent", command={"resume": secret("late answer")})
        assert end["answer"] == secret("late answer")


async def test_a_receiver_is_told_plain(sealed: Settings) -> None:
    async with open_replica(sealed) as replica, receiving() as receiver:
        await asked(replica, webhook=f"{receiver.url}?key={SECRET}")
        call = await receiver.first()

    assert call["metadata"]["why"] == secret("run")
    assert call["values"]["text"] == secret("input")


async def test_a_stream_is_sealed_between_the_replicas_and_plain_for_the_client(sealed: Settings) -> None:
    async with open_replica(sealed) as replica:
        thread_id = (await replica.client.threads.create())["thread_id"]
        parts = [
            part
            async for part in replica.client.runs.stream(
                thread_id,
                "agent",
                input={"text": secret("input")},
                context={"mood": "calm"},
                stream_mode=["custom", "values"],
                stream_resumable=True,
            )
        ]
        [run] = await replica.client.runs.list(thread_id)
        again = [
            part
            async for part in replica.client.runs.join_stream(
                thread_id, run["run_id"], last_event_id="-1", stream_mode=["custom", "values"]
            )
        ]
        kept = await at_rest(sealed)

    assert {"custom": secret("stream")} in [part.data for part in parts]
    assert {"custom": secret("stream")} in [part.data for part in again]
    assert [place for place, content in kept.items() if SECRET.encode() in content] == []


async def test_what_was_stored_before_is_still_read_and_goes_on(plain: Settings, sealed: Settings) -> None:
    async with open_replica(plain) as replica:
        thread_id = await asked(replica)
        await replica.client.store.put_item(["old"], "k", {"v": 1})

    async with open_replica(sealed) as replica:
        client = replica.client
        before = await client.threads.get(thread_id)
        await client.threads.update(thread_id, metadata={"new": secret("patch")})
        end = await client.runs.wait(thread_id, "agent", command={"resume": "yes"})
        after = await client.threads.get(thread_id)
        history = await client.threads.get_history(thread_id)
        item = await client.store.get_item(["old"], "k")

    assert before["metadata"]["note"] == secret("metadata")
    assert after["metadata"] == {**before["metadata"], "new": secret("patch")}
    assert end == {**before["values"], "answer": "yes"}
    assert [entry["values"].get("text") for entry in history][:2] == [secret("input")] * 2
    assert item["value"] == {"v": 1}


async def test_the_context_of_a_client_goes_with_its_data(sealed: Settings) -> None:
    tenant = base64.b64encode(json.dumps({"tenant": "acme"}).encode()).decode()
    async with open_replica(sealed) as replica:
        client, storage = replica.client, replica.services.storage
        headers = {"X-Encryption-Context": tenant}
        thread_id = (await client.threads.create(metadata={"a": "theirs"}, headers=headers))["thread_id"]
        await client.threads.update(thread_id, metadata={"b": "nobody's"})
        await client.runs.wait(
            thread_id, "agent", input={"text": "x"}, context={"mood": "calm"}, headers=headers
        )
        cron = await client.crons.create("agent", schedule=YEARLY, input={"text": "y"}, headers=headers)
        past = await storage.now() - timedelta(minutes=5)
        await storage.crons.update(cron["cron_id"], {"next_run_date": past})
        while (found := await storage.crons.get(cron["cron_id"])).next_run_date == past:
            await asyncio.sleep(0.05)
        thread = await client.threads.get(thread_id)
        state = await client.threads.get_state(thread_id)
        with pytest.raises(APIStatusError) as refused:
            await client.threads.create(headers={"X-Encryption-Context": "{}"})

    sealed_with = {(model, field): context for what, model, field, context in ciphers.told if "enc" in what}
    assert thread["metadata"].items() >= {"a": "theirs", "b": "nobody's"}.items()
    assert state["values"]["text"] == "x"
    for place in [("checkpoint", "channel_values"), ("thread", "values"), ("cron", "payload")]:
        assert place not in sealed_with or sealed_with[place] == {"tenant": "acme"}
    assert sealed_with[("checkpoint", "channel_values")] == {"tenant": "acme"}
    assert sealed_with[("run", "input")] == {"tenant": "acme"}
    assert found.payload["input"] == {"text": "y"}
    assert refused.value.status_code == 422
    assert "must be a JSON object in base64" in str(refused.value.response.text)


async def test_a_run_whose_replica_died_goes_on_from_what_is_sealed(sealed: Settings) -> None:
    async with open_replica(sealed) as replica:
        run_id = await left_behind(replica)

        run = await until_final(replica, run_id)

    assert (run.status, run.attempt) == ("success", 2)
    assert run.result is not None and run.result["text"] == secret("input")


async def test_a_handler_that_can_not_seal_refuses_and_nothing_is_stored(sealed: Settings) -> None:
    async with open_replica(sealed) as replica:
        thread_id = (await replica.client.threads.create())["thread_id"]
        ciphers.broken |= {("encrypt.json", "thread", "metadata"), ("encrypt.json", "run", "input")}
        with pytest.raises(APIStatusError) as thread_refused:
            await replica.client.threads.create(metadata={"note": SECRET})
        with pytest.raises(APIStatusError) as run_refused:
            await replica.client.runs.create(thread_id, "agent", input={"text": SECRET})
        ciphers.broken.clear()
        threads = await replica.services.storage.threads.count(ThreadQuery())
        runs = await replica.client.runs.list(thread_id)

    assert (threads, runs) == (1, [])
    for refused, place in ((thread_refused, "thread.metadata"), (run_refused, "run.input")):
        assert refused.value.status_code == 500
        assert f"encrypt.json of {place} raised KeyServiceDown" in refused.value.response.text
        assert "SECRET" not in refused.value.response.text and SECRET not in refused.value.response.text


async def test_what_can_not_be_opened_is_said_by_its_place(sealed: Settings) -> None:
    async with open_replica(sealed) as replica:
        thread_id = await asked(replica)
        ciphers.broken.add(("decrypt.json", "thread", "values"))
        with pytest.raises(APIStatusError) as thread_refused:
            await replica.client.threads.get(thread_id)
        ciphers.broken.clear()
        ciphers.broken.add(("decrypt.blob", "checkpoint", "channel_values"))
        with pytest.raises(APIStatusError) as state_refused:
            await replica.client.threads.get_state(thread_id)
        run = await replica.client.runs.create(thread_id, "agent", command={"resume": "x"})
        ended = await until_final(replica, run["run_id"])
        ciphers.broken.clear()
        thread = await replica.client.threads.get(thread_id)

    assert thread_refused.value.status_code == state_refused.value.status_code == 500
    assert "decrypt.json of thread.values raised KeyServiceDown" in thread_refused.value.response.text
    assert "decrypt.blob of checkpoint.channel_values" in state_refused.value.response.text
    assert ended.status == "error" and ended.error is not None
    assert "EncryptionFailed" in ended.error and "checkpoint.channel_values" in ended.error
    assert "SECRET" not in ended.error
    assert thread["values"]["text"] == secret("input")


async def test_a_run_that_can_not_be_opened_ends_with_the_reason(sealed: Settings) -> None:
    async with open_replica(sealed) as replica:
        ciphers.broken.add(("decrypt.json", "run", "input"))
        run_id = await left_behind(replica)
        with taking_sealed():
            while (await replica.services.storage.runs.get(run_id)).status not in FINAL:
                await asyncio.sleep(0.05)
        ciphers.broken.clear()
        run = await until_final(replica, run_id)

    assert run.status == "error" and run.error is not None
    assert run.error.startswith("EncryptionFailed: ") and "decrypt.json of run.input" in run.error


async def test_a_result_that_can_not_be_sealed_ends_the_run_with_the_reason(sealed: Settings) -> None:
    async with open_replica(sealed) as replica:
        thread_id = (await replica.client.threads.create())["thread_id"]
        ciphers.broken |= {("encrypt.json", "thread", "values"), ("encrypt.json", "run", "error")}
        run = await replica.client.runs.create(thread_id, "agent", input={"text": SECRET})
        ended = await until_final(replica, run["run_id"])
        ciphers.broken.clear()
        kept = await at_rest(sealed)

    assert ended.status == "error" and ended.error is not None
    assert "run.error raised KeyServiceDown" in ended.error
    assert [place for place, content in kept.items() if SECRET.encode() in content] == []


async def test_metadata_are_found_by_what_the_handler_leaves_or_seals_the_same_way(sealed: Settings) -> None:
    async with open_replica(sealed) as replica:
        client = replica.client
        mine = (await client.threads.create(metadata={"owner": "ada", "tag": "x"}))["thread_id"]
        await client.threads.create(metadata={"owner": "bob", "tag": "y"})
        await client.store.put_item(["n"], "a", {"owner": "ada", "v": 1})
        await client.store.put_item(["n"], "b", {"owner": "bob", "v": 2})

        by_owner = await client.threads.search(metadata={"owner": "ada"})
        by_tag = await client.threads.search(metadata={"tag": "x"})
        items = [
            (await client.store.search_items(["n"], filter=wanted))["items"]
            for wanted in ({"owner": "ada"}, {"v": {"$eq": 1}}, {"v": 1})
        ]

    assert [[thread["thread_id"] for thread in found] for found in (by_owner, by_tag)] == [[mine], [mine]]
    assert [[item["key"] for item in found] for found in items] == [["a"], ["a"], ["a"]]


async def test_a_backup_is_plain_and_what_it_is_restored_to_is_not(sealed: Settings, tmp_path: Path) -> None:
    async with open_replica(sealed) as replica:
        thread_id = await asked(replica)
        item = await replica.client.store.get_item(["notes"], "thread")
    folder = tmp_path / "restored"
    folder.mkdir()
    restored = replace(sealed, data_dir=folder, database_uri=f"sqlite:///{folder}/lgs.db")

    await export_to(sealed, tmp_path / "all.ndjson", [])
    await import_from(restored, tmp_path / "all.ndjson", "raise")
    kept = sqlite_at_rest(folder)
    async with open_replica(replace(restored, service=f"{sealed.service}-b")) as replica:
        end = await replica.client.runs.wait(thread_id, "agent", command={"resume": "yes"})

    assert item["value"] == {"text": secret("store, from a thread")}
    assert SECRET in (tmp_path / "all.ndjson").read_text()
    assert [place for place, content in kept.items() if SECRET.encode() in content] == []
    assert (end["text"], end["answer"]) == (secret("input"), "yes")


async def test_what_can_not_be_opened_any_more_can_be_deleted(sealed: Settings) -> None:
    async with open_replica(sealed) as replica:
        client = replica.client
        thread_id = await asked(replica)
        await client.runs.create(thread_id, "agent", input={"text": "later"}, after_seconds=900)
        for what in ("metadata", "values", "config", "interrupts"):
            ciphers.broken.add(("decrypt.json", "thread", what))
        ciphers.broken |= {("decrypt.json", "run", "input"), ("decrypt.json", "run", "metadata")}

        await client.threads.delete(thread_id)

        assert await replica.services.storage.threads.count(ThreadQuery()) == 0
