"""Savers, stores and storages keep their contracts behind a cipher."""

from __future__ import annotations

from datetime import datetime
from types import NoneType
from typing import Any, get_args, get_type_hints

import pytest
from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.checkpoint.memory import InMemorySaver

from lgs_runtime.checkpoint.savers import open_checkpointer
from lgs_runtime.encryption import runs
from lgs_runtime.encryption.cipher import Cipher
from lgs_runtime.encryption.fields import ELSEWHERE, FIELDS, TEXTS, Fields
from lgs_runtime.encryption.storage import EncryptedPart
from lgs_runtime.encryption.table import PLAIN, TABLE
from lgs_runtime.encryption.wrapping import sealed_saver, sealed_storage, sealed_store
from lgs_runtime.model import (
    Finished,
    Page,
    Pinned,
    QueueDepth,
    QueueLimits,
    Release,
    Run,
    Scope,
    Signal,
    Spent,
    Ttl,
)
from lgs_runtime.storage import Storage
from lgs_runtime.storage.contract import Lease
from lgs_runtime.storage.histories import NewVersion, PrunedVersions
from lgs_runtime.storage.queries import AssistantQuery, CronQuery, RunQuery, ThreadQuery
from lgs_runtime.store.backends import open_store
from support import ciphers
from support.ciphers import encryption

CIPHER = Cipher(encryption, "encryption.path: here")
PLAIN_KINDS = {str, int, float, bool, NoneType, datetime, Page, Ttl, Signal, QueueLimits, Release, Spent}
PLAIN_ANSWERS = PLAIN_KINDS | {Finished, Pinned, QueueDepth, PrunedVersions, Lease}
"""What has no field of the application's."""
ONLY_IDS = {
    ("queue", "finish", "run"),
    ("queue", "release", "runs"),
    ("threads", "note_pruned", "thread"),
    ("audit", "note", "details"),
}
"""Arguments of which nothing is stored but ids, times and names of fields."""


@pytest.fixture
def sealed(storage: Storage) -> Storage:
    return sealed_storage(storage, CIPHER)


def test_every_method_of_the_contract_is_sealed_or_known_to_have_nothing_to_hide() -> None:
    promised = {
        f"{part}.{name}"
        for part, protocol in get_type_hints(Storage).items()
        if part not in ("name", "database_id")
        for name in vars(protocol)
        if not name.startswith("_")
    }

    classified = {f"{part}.{name}" for part, rules in TABLE.items() for name in rules}

    assert classified == promised, (
        "encryption/table.py says what each method seals; PLAIN: it has ids, times and counts alone"
    )


def kinds_in(annotation: Any) -> set[Any]:
    """The types that an annotation is made of; for literals, theirs."""
    inner = [each for each in get_args(annotation) if each is not ...]
    if not inner:
        return {annotation if isinstance(annotation, type) or annotation is Any else type(annotation)}
    return set().union(*(kinds_in(each) for each in inner))


def methods() -> list[Any]:
    return [
        pytest.param(part, method, get_type_hints(getattr(protocol, method)), id=f"{part}.{method}")
        for part, protocol in get_type_hints(Storage).items()
        for method in TABLE.get(part, {})
    ]


@pytest.mark.parametrize(("part", "method", "hints"), methods())
def test_every_value_that_can_have_the_applications_data_is_sealed_and_opened(
    part: str, method: str, hints: dict[str, Any]
) -> None:
    rule, answer = TABLE[part][method], hints.pop("return")
    if rule.calls is not None:
        return

    may_have_data = {name for name, hint in hints.items() if kinds_in(hint) - PLAIN_KINDS}
    only_ids = {name for *of, name in ONLY_IDS if of == [part, method]}

    assert may_have_data - only_ids <= rule.seals.keys()
    assert rule.opens is not None or kinds_in(answer) <= PLAIN_ANSWERS


SCOPED_BY = {"assistants": "assistant", "crons": "cron", "threads_scope": "thread"}
"""By the part, or by the argument: whose metadata a scope is about; a thread's elsewhere."""
QUERIES = {
    AssistantQuery: {"assistant"},
    ThreadQuery: {"thread"},
    RunQuery: {"run", "thread"},
    CronQuery: {"cron"},
}
"""The models whose metadata a search asks for: its own, and those of its scope."""


async def places_of(convert: Any, value: Any) -> set[tuple[str | None, str | None]]:
    """What a rule calls the handlers with: models and fields."""
    ciphers.told.clear()
    await convert(Fields(CIPHER), value)
    return {(model, field) for _, model, field, _ in ciphers.told}


@pytest.mark.parametrize(("part", "method", "hints"), methods())
async def test_what_is_sealed_is_sealed_as_what_it_is_opened_as(
    part: str, method: str, hints: dict[str, Any]
) -> None:
    """With keys by model and field, another name would make it unreadable, or unfindable."""
    seals, model = TABLE[part][method].seals, part.removesuffix("s")
    scope = Scope(({"team": "a"},))

    for name in seals:
        kinds = kinds_in(hints[name])
        if Scope in kinds:
            by = SCOPED_BY.get(name) or SCOPED_BY.get(part, "thread")
            assert await places_of(seals[name], scope) == {(by, "metadata")}, name
        elif query := kinds & QUERIES.keys():
            (kind,) = query
            asked = kind(metadata={"a": "b"}, scope=scope)
            assert await places_of(seals[name], asked) == {(of, "metadata") for of in QUERIES[kind]}, name
        elif name in FIELDS.get(model, ()) or name in TEXTS.get(model, ()):
            value = "a text" if name in TEXTS.get(model, ()) else {"a": "b"}
            place = ELSEWHERE.get((model, name), (model, name))
            assert await places_of(seals[name], value) == {place}, name


@pytest.mark.parametrize(("part", "method", "hints"), methods())
def test_a_run_that_the_queue_gives_out_comes_with_its_context_and_though_it_can_not_be_opened(
    part: str, method: str, hints: dict[str, Any]
) -> None:
    """It is held already: whoever has it executes it, or ends it."""
    gives_runs = part == "queue" and Run in kinds_in(hints["return"]) and TABLE[part][method].calls is None

    assert (TABLE[part][method].opens is runs.runs_to_execute) == gives_runs


def test_a_method_of_which_nobody_has_said_what_is_to_be_sealed_is_refused() -> None:
    class Newer:
        async def get(self, run_id: str) -> str:
            return run_id

        async def get_more(self, run_id: str) -> str:
            return run_id

    part: Any = EncryptedPart(Newer(), {"get": PLAIN}, Fields(CIPHER))

    assert part.get
    with pytest.raises(AttributeError, match="get_more: nobody has said"):
        part.get_more  # noqa: B018 - asking for it is what is refused


def test_a_rule_for_an_argument_that_a_method_does_not_have_is_refused() -> None:
    class Part:
        async def get(self, run_id: str) -> str:
            return run_id

    with pytest.raises(TypeError, match="get: it has no scope to seal"):
        EncryptedPart(Part(), {"get": TABLE["runs"]["get"]}, Fields(CIPHER))


async def test_arguments_are_sealed_however_they_are_given(storage: Storage, sealed: Storage) -> None:
    await sealed.threads.create(metadata={"a": 1}, thread_id="named")
    await sealed.threads.create("placed", {"a": 1}, "raise", None, None)

    beneath = [await storage.threads.get(thread_id) for thread_id in ("named", "placed")]
    above = [await sealed.threads.get(thread_id) for thread_id in ("named", "placed")]

    assert [thread.metadata == {"a": 1} for thread in beneath] == [False, False]
    assert [thread.metadata for thread in above] == [{"a": 1}, {"a": 1}]


async def test_a_sealed_saver_keeps_langgraphs_contract(database_uri: str) -> None:
    @checkpointer_test(name=f"sealed {database_uri}")
    async def saver() -> Any:
        async with open_checkpointer(database_uri) as opened:
            yield sealed_saver(opened, CIPHER)

    report = await validate(saver)

    failures = {name: result.failures for name, result in report.results.items() if result.failures}
    assert failures == {}
    passed = {name for name, result in report.results.items() if result.passed}
    assert passed >= {"put", "put_writes", "get_tuple", "list", "delete_thread", "copy_thread", "prune"}


async def test_a_foreign_saver_can_be_sealed() -> None:
    @checkpointer_test(name="sealed in memory")
    async def saver() -> Any:
        yield sealed_saver(InMemorySaver(), CIPHER)

    report = await validate(saver)

    passed = {name for name, result in report.results.items() if result.passed}
    assert passed >= {"put", "put_writes", "get_tuple", "list", "delete_thread"}


async def test_metadata_that_are_merged_are_opened_each_with_its_own_mark(
    storage: Storage, sealed: Storage
) -> None:
    await storage.threads.create("t", {"old": "plain", "both": "plain"})
    await sealed.threads.update("t", {"new": {"a": [1]}, "both": "sealed"})

    merged = await sealed.threads.get("t")
    trail = await sealed.audit.of_thread("t", Page())

    assert merged.metadata == {"old": "plain", "both": "sealed", "new": {"a": [1]}}
    assert {"metadata": ["new", "both"]} in [entry.details for entry in trail]


async def test_a_scope_covers_what_was_stored_before_and_what_is_sealed(
    storage: Storage, sealed: Storage
) -> None:
    await storage.threads.create("old", {"team": "a"})
    await sealed.threads.create("new", {"team": "a"})
    await sealed.threads.create("other", {"team": "b"})

    found = await sealed.threads.search(ThreadQuery(scope=Scope(({"team": "a"},))))

    assert {thread.thread_id for thread in found} == {"old", "new"}


async def test_names_that_look_like_marks_come_back(sealed: Storage) -> None:
    told = {"__encryption_context__": 1, "__encryption_context__.x": 2, "__escaped__y": 3, "x": 4}
    await sealed.threads.create("t", told)
    await sealed.threads.set_state("t", told, {}, "idle")

    thread = await sealed.threads.get("t")

    assert thread.metadata == told
    assert thread.values == told


async def test_a_rollbacks_entry_of_the_trail_names_its_version(sealed: Storage) -> None:
    await sealed.threads.create("t", {})
    await sealed.versions.add(NewVersion("t", "c1", description="first"))
    await sealed.versions.add(NewVersion("t", "c2", metadata={"rollback_from": 1, "why": "wrong"}))

    [latest, first] = await sealed.versions.of_thread("t", Page())
    trail = await sealed.audit.of_thread("t", Page())

    assert (latest.metadata, first.description) == ({"rollback_from": 1, "why": "wrong"}, "first")
    assert [entry.details["rollback_from"] for entry in trail if entry.what == "version.rolled_back"] == [1]


async def test_items_of_a_sealed_store_are_found_and_live_as_long_as_they_should(database_uri: str) -> None:
    async with open_store(database_uri) as inner:
        store = sealed_store(inner, CIPHER)
        await store.aput(("n",), "a", {"kind": "x", "v": 1}, ttl=60)
        await store.aput(("n",), "b", {"kind": "y", "v": 2})

        item, found = await store.aget(("n",), "a"), await store.asearch(("n",), filter={"kind": "y"})
        beneath = await inner.aget(("n",), "a")

    assert item is not None and item.value == {"kind": "x", "v": 1}
    assert [one.key for one in found] == ["b"]
    assert beneath is not None and str(beneath.value["kind"]).startswith("enc:")
