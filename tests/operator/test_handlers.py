"""The services are told of whatever becomes of kopf, which is played here."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from typing import Any

import kopf
import pytest

from lgs_operator import handlers
from lgs_operator.backoff import Backoff
from lgs_operator.handlers import ServiceWatch, is_deaf, went_back
from lgs_operator.kube.errors import KubeError
from lgs_operator.kube.kinds import ServiceKey
from support.as_before import signals_as_before
from support.ports import PATIENCE_SECONDS

BODY = {"metadata": {"namespace": "team", "name": "support", "uid": "u-1", "generation": 2}}


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """What asks the process of the tests to stop does so afterwards as before."""
    before = {number: signal.getsignal(number) for number in handlers.SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


class Services:
    """A cluster with one service, and the state that is told of it. What is `forbidden` can't be listed."""

    def __init__(self) -> None:
        self.told: dict[str, Any] = {}
        self.gone: list[str] = []
        self.forbidden = {"gone"}
        self.changed = asyncio.Event()

    async def list(self, _: Any, namespace: str | None, **__: Any) -> tuple[list[Any], str]:
        if namespace in self.forbidden:
            raise KubeError(403, "Forbidden", "not there")
        return [BODY], "1"

    def seen(self) -> tuple[Any, ...]:
        return tuple(self.told.values())

    def seen_of(self, key: ServiceKey) -> Any:
        return next((each for each in self.told.values() if each["metadata"]["name"] == key.name), None)

    def service_seen(self, body: Any, *, gone: bool) -> None:
        if gone:
            self.gone.append(body["metadata"]["uid"])
            del self.told[body["metadata"]["uid"]]
            self.changed.set()
        else:
            self.told[body["metadata"]["uid"]] = body


def often_listed(services: Services) -> ServiceWatch:
    """A watch of the services that lists them all the time."""
    return ServiceWatch(services, services, (), relist_seconds=0.001)  # type: ignore[arg-type]


async def run_listed(watch: ServiceWatch, stop: asyncio.Event) -> None:
    """Watches, and lists beside it, until it stops."""
    relisting = asyncio.create_task(watch.relist())
    async with asyncio.timeout(PATIENCE_SECONDS):
        await watch.run(stop)
    relisting.cancel()
    await asyncio.gather(relisting, return_exceptions=True)


@pytest.mark.parametrize("known", [{}, {"u-1": BODY | {"metadata": BODY["metadata"] | {"generation": 1}}}])
async def test_kopf_begins_anew_when_it_tells_of_nothing_that_is_there(
    monkeypatch: pytest.MonkeyPatch, known: dict[str, Any]
) -> None:
    services, stop, begun = Services(), asyncio.Event(), 0
    services.told |= known
    monkeypatch.setattr(handlers, "BACKOFF", Backoff(first_seconds=0.001, longest_seconds=0.001))

    async def hears_little(*, stop_flag: asyncio.Event, **_: Any) -> None:
        nonlocal begun
        begun += 1
        if begun == 2:
            services.service_seen(BODY, gone=False)
            stop.set()
        await stop_flag.wait()

    monkeypatch.setattr(kopf, "operator", hears_little)

    await run_listed(often_listed(services), stop)

    assert begun == 2
    assert services.seen() == (BODY,)


async def test_kopf_watches_the_namespaces_in_which_the_services_may_be_listed_now(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    services, stop, watched = Services(), asyncio.Event(), list[list[str]]()
    services.service_seen(BODY, gone=False)
    monkeypatch.setattr(handlers, "BACKOFF", Backoff(first_seconds=0.001, longest_seconds=0.001))

    async def follows(*, namespaces: list[str], stop_flag: asyncio.Event, **_: Any) -> None:
        watched.append(namespaces)
        services.forbidden = {"other"} if len(watched) == 1 else set()
        if len(watched) == 3:
            stop.set()
        await stop_flag.wait()

    monkeypatch.setattr(kopf, "operator", follows)
    watch = ServiceWatch(services, services, ("team", "other"), relist_seconds=0.001)  # type: ignore[arg-type]

    await run_listed(watch, stop)

    assert watched == [["team", "other"], ["team"], ["team", "other"]]


async def test_what_was_known_of_a_namespace_is_forgotten_while_it_is_not_watched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its services may be others when it is watched again: those before would be made anew."""
    services, stop = Services(), asyncio.Event()
    services.service_seen(BODY, gone=False)
    services.service_seen(
        {"metadata": BODY["metadata"] | {"namespace": "gone", "name": "old", "uid": "u-9"}}, gone=False
    )

    async def follows(**_: Any) -> None:
        stop.set()

    monkeypatch.setattr(kopf, "operator", follows)
    async with asyncio.timeout(PATIENCE_SECONDS):
        await ServiceWatch(services, services, ("team", "gone")).run(stop)  # type: ignore[arg-type]

    assert services.gone == ["u-9"]


async def test_who_is_asked_to_stop_while_kopf_ends_to_begin_anew_stops(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    services, begun = Services(), 0
    monkeypatch.setattr(handlers, "BACKOFF", Backoff(first_seconds=0.001, longest_seconds=0.001))

    async def ends_slowly(*, registry: Any, stop_flag: asyncio.Event, **_: Any) -> None:
        nonlocal begun
        begun += 1
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, lambda: None)
        for each in registry._activities.get_all_handlers():
            if each.id.endswith("configure"):
                await each.fn(settings=kopf.OperatorSettings())
        if begun == 1:
            await stop_flag.wait()
            signal.raise_signal(signal.SIGTERM)
            await asyncio.sleep(0.1)

    monkeypatch.setattr(kopf, "operator", ends_slowly)

    async with signals_as_before():
        await run_listed(often_listed(services), asyncio.Event())

    assert begun == 1


def of_version(version: str, **more: Any) -> dict[str, Any]:
    return {"metadata": BODY["metadata"] | {"resourceVersion": version} | more}


async def test_services_that_are_as_they_were_before_are_forgotten_and_kopf_begins_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After a restore of etcd a watch from a later version brings nothing, and a generation comes twice."""
    services, stop, begun = Services(), asyncio.Event(), 0
    services.service_seen(of_version("1245"), gone=False)
    monkeypatch.setattr(services, "list", restored)
    monkeypatch.setattr(handlers, "BACKOFF", Backoff(first_seconds=0.001, longest_seconds=0.001))

    async def deaf(*, stop_flag: asyncio.Event, **_: Any) -> None:
        nonlocal begun
        begun += 1
        if begun == 2:
            services.service_seen(of_version("286"), gone=False)
            stop.set()
        await stop_flag.wait()

    monkeypatch.setattr(kopf, "operator", deaf)

    await run_listed(often_listed(services), stop)

    assert (begun, services.gone) == (2, ["u-1"])
    assert services.seen() == (of_version("286"),)


async def begun_while_deaf(services: Services, monkeypatch: pytest.MonkeyPatch) -> int:
    """How often kopf was begun, which hears nothing; it is asked to stop when it is begun a second time."""
    stop, begun = asyncio.Event(), 0
    monkeypatch.setattr(handlers, "BACKOFF", Backoff(first_seconds=0.001, longest_seconds=0.001))

    async def deaf(*, stop_flag: asyncio.Event, **_: Any) -> None:
        nonlocal begun
        begun += 1
        if begun == 2:
            stop.set()
        await stop_flag.wait()

    monkeypatch.setattr(kopf, "operator", deaf)
    async with asyncio.timeout(PATIENCE_SECONDS):
        await run_listed(often_listed(services), stop)
    return begun


async def test_kopf_begins_anew_where_versions_went_back_and_no_service_did(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It would be deaf to what has no generation, such as the annotation that asks for another password."""
    services, versions = Services(), ["1245", "1245", "300"]
    services.service_seen(BODY, gone=False)

    async def listed(*_: Any, **__: Any) -> tuple[list[Any], str]:
        return [BODY], versions.pop(0) if len(versions) > 1 else versions[0]

    monkeypatch.setattr(services, "list", listed)

    begun = await begun_while_deaf(services, monkeypatch)

    assert (begun, services.gone) == (2, [])


async def test_kopf_begins_anew_where_it_does_not_tell_of_an_annotation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A generation stays by that: who asked for another password was not heard while a watch was silent."""
    services = Services()
    services.service_seen(of_version("286"), gone=False)

    async def listed(*_: Any, **__: Any) -> tuple[list[Any], str]:
        return [of_version("300")], "300"

    monkeypatch.setattr(services, "list", listed)

    begun = await begun_while_deaf(services, monkeypatch)

    assert begun == 2


async def test_a_service_that_kopf_itself_lists_as_it_was_before_is_forgotten_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where etcd's restore ended the watches, kopf lists anew: the status that was written last, and is no
    more, would be taken for there."""
    services, stop, begun = Services(), asyncio.Event(), 0
    monkeypatch.setattr(handlers, "BACKOFF", Backoff(first_seconds=0.001, longest_seconds=0.001))

    async def lists(*, registry: Any, stop_flag: asyncio.Event, **_: Any) -> None:
        nonlocal begun
        begun += 1
        (handler,) = registry._watching.get_all_handlers()
        if begun == 1:
            await handler.fn(event={"type": "ADDED", "object": of_version("1245")})
        await handler.fn(event={"type": None, "object": of_version("286")})
        if begun == 2:
            stop.set()
        await stop_flag.wait()

    monkeypatch.setattr(kopf, "operator", lists)
    async with asyncio.timeout(PATIENCE_SECONDS):
        await ServiceWatch(services, services, ()).run(stop)  # type: ignore[arg-type]

    assert (begun, services.gone) == (2, ["u-1"])
    assert services.seen() == (of_version("286"),)


async def restored(*_: Any, **__: Any) -> tuple[list[Any], str]:
    return [of_version("286")], "300"


@pytest.mark.parametrize(
    ("known", "listed", "is_back"),
    [("5", "5", False), ("5", "6", False), ("5", "4", True), ("", "4", False), ("5", "", False)],
)
def test_a_service_went_back_where_its_version_did(known: str, listed: str, is_back: bool) -> None:
    found = went_back([of_version(known)], [of_version(listed)])

    assert bool(found) is is_back
    assert not went_back([of_version("5")], [of_version("4", uid="another")])


async def test_what_went_in_one_namespace_is_noticed_though_another_can_not_be_listed() -> None:
    services = Services()
    for uid, namespace in (("u-2", "team"), ("u-3", "gone")):
        metadata = {"namespace": namespace, "name": uid, "uid": uid, "generation": 1}
        services.service_seen({"metadata": metadata}, gone=False)
    watch = ServiceWatch(services, services, ("gone", "team"), relist_seconds=0.001)  # type: ignore[arg-type]

    relisting = asyncio.create_task(watch.relist())
    async with asyncio.timeout(PATIENCE_SECONDS):
        await services.changed.wait()
    relisting.cancel()
    await asyncio.gather(relisting, return_exceptions=True)

    assert services.gone == ["u-2"]


@pytest.mark.parametrize(
    ("late", "there", "known", "deaf"),
    [
        ({}, {"a": 1}, {}, False),
        ({"a": 1}, {"a": 1}, {}, True),
        ({"a": 2}, {"a": 2}, {"a": 1}, True),
        ({"a": 2}, {"a": 3}, {"a": 2}, False),
        ({"a": 1, "b": 1}, {"a": 1, "b": 1}, {"b": 1}, False),
        ({"a": 1}, {}, {}, False),
    ],
    ids=["nothing awaited", "never told", "a change not told", "told late", "slow", "gone again"],
)
def test_deaf_is_who_is_told_of_none_that_it_should_know_by_now(
    late: dict[str, int], there: dict[str, int], known: dict[str, int], deaf: bool
) -> None:
    assert is_deaf(late, there, known) is deaf


def test_kopf_neither_copies_what_it_tells_of_nor_reads_what_anybody_may_annotate() -> None:
    """Its own way to find out what has changed: an annotation of no JSON kept its service from being told."""
    settings = kopf.OperatorSettings()
    handlers.tune(settings)
    annotated = {"metadata": {"annotations": {"kopf.zalando.org/last-handled-configuration": "{"}}}
    body = kopf.Body(kopf.RawBody(**annotated, spec={"large": [{}]}))  # type: ignore[typeddict-item]

    storage = settings.persistence.diffbase_storage

    assert storage.fetch(body=body) is None
    assert storage.build(body=body) == {}
    assert settings.watching.chunk_size == handlers.CHUNK
