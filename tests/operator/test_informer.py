"""A watched copy is what the API server has, whatever happens on the way: answers that are late, watches that
break, events that come twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from lgs_operator.backoff import Backoff
from lgs_operator.kube import informer as informers
from lgs_operator.kube.errors import KubeError
from lgs_operator.kube.informer import Informer
from lgs_operator.kube.kinds import DEPLOYMENT, Manifest
from support.drawn_manifests import examples
from support.ports import PATIENCE_SECONDS

ERRORS: tuple[Exception, ...] = (
    KubeError(410, "Expired", "too old resource version"),
    KubeError(429, "TooManyRequests", "later"),
    KubeError(500, "InternalError", "etcd"),
    KubeError(0, "WatchBroken", "cut"),
    ValueError("Chunk too big"),
    TypeError("an object without a name"),
)


class Server:
    """An API server for one kind in one namespace; its watch sends events when it is set to."""

    def __init__(self) -> None:
        self.objects: dict[str, Manifest] = {}
        self.version = 1
        self._history: list[tuple[str, Manifest]] = []
        self._told = 0
        self._orders: asyncio.Queue[str | Exception] = asyncio.Queue()
        self.broken_lists: list[Exception] = []

    def write(self, name: str, group: str) -> Manifest:
        """Makes or changes an object; returns the writer's answer."""
        kind = "MODIFIED" if name in self.objects else "ADDED"
        return self._done(kind, name, group)

    def delete(self, name: str) -> None:
        if name in self.objects:
            self._done("DELETED", name, self.objects[name]["metadata"]["labels"]["group"])

    def restore(self, version: int, *, bump: int = 0) -> None:
        """All is as it was at this version, which the next write follows; `bump`: after so many versions that
        are left out."""
        self._history = [
            each for each in self._history if int(each[1]["metadata"]["resourceVersion"]) <= version
        ]
        self.objects = {item["metadata"]["name"]: item for event, item in self._history if event != "DELETED"}
        self._told, self.version = len(self._history), version + bump

    def _done(self, event: str, name: str, group: str) -> Manifest:
        self.version += 1
        metadata = {"name": name, "namespace": "team", "labels": {"group": group}}
        written = {"metadata": metadata | {"resourceVersion": str(self.version)}}
        self._history.append((event, written))
        if event == "DELETED":
            del self.objects[name]
        else:
            self.objects[name] = written
        return dict(written)

    async def tell(self, order: str | Exception) -> None:
        """The watch sends the next event, the last one again, or breaks."""
        self._orders.put_nowait(order)
        for _ in range(12):
            await asyncio.sleep(0)

    async def tell_all(self) -> None:
        for _ in range(len(self._history) + 1):
            await self.tell("next")

    async def list(self, *_: object, **__: object) -> tuple[list[Manifest], str]:
        if self.broken_lists:
            raise self.broken_lists.pop()
        return [dict(each) for each in self.objects.values()], str(self.version)

    async def watch(self, _: object, __: object, version: str, **___: object) -> AsyncIterator[Any]:
        self._told = sum(
            1 for _, each in self._history if int(each["metadata"]["resourceVersion"]) <= int(version)
        )
        while True:
            order = await self._orders.get()
            if isinstance(order, Exception):
                raise order
            if order == "silence":
                return
            if order == "bookmark":
                seen = (
                    self._history[self._told - 1][1]["metadata"]["resourceVersion"] if self._told else version
                )
                yield "BOOKMARK", {"metadata": {"resourceVersion": seen}}
            elif order == "again" and self._told:
                event, item = self._history[self._told - 1]
                yield event, dict(item)
            elif order == "old" and self._told:
                event, item = self._history[0]
                yield event, dict(item)
            elif self._told < len(self._history):
                self._told += 1
                event, item = self._history[self._told - 1]
                yield event, dict(item)


class Copy:
    """The informer under test, and what the listener of changes saw then."""

    def __init__(self, server: Server) -> None:
        self.seen: dict[str, list[str]] = {}
        self.informer = Informer(
            server,  # type: ignore[arg-type]
            DEPLOYMENT,
            namespace=None,
            labels=None,
            changed=self._changed,
            group_label="group",
        )

    def _changed(self, item: Manifest) -> None:
        group = item["metadata"]["labels"]["group"]
        self.seen[group] = self.versions(group)

    def versions(self, group: str) -> list[str]:
        return sorted(each["metadata"]["resourceVersion"] for each in self.informer.of("team", group))


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nor any words: hundreds of watches break here."""
    monkeypatch.setattr(informers, "BACKOFF", Backoff(first_seconds=0.0, longest_seconds=0.0))
    with capture_logs():
        yield


NAMES, GROUPS = st.sampled_from("ab"), st.sampled_from("xy")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), NAMES, GROUPS),
        st.tuples(st.just("ours"), NAMES, GROUPS),
        st.tuples(st.just("delete"), NAMES),
        st.tuples(st.just("answer"), st.integers(0, 3)),
        st.tuples(st.just("tell"), st.sampled_from(["next", "next", "next", "again", "old", "bookmark"])),
        st.tuples(st.just("break"), st.sampled_from(ERRORS)),
        st.tuples(st.just("break list"), st.sampled_from(ERRORS)),
    ),
    max_size=25,
)


async def played(steps: list[tuple[Any, ...]]) -> None:
    server = Server()
    copy = Copy(server)
    answers: list[Manifest] = []
    running = asyncio.create_task(copy.informer.run())
    await copy.informer.synced.wait()
    for what, *how in steps:
        if what == "write":
            server.write(*how)
        elif what == "ours":
            answers.append(server.write(*how))
        elif what == "delete":
            server.delete(*how)
        elif what == "answer" and answers:
            copy.informer.put(answers.pop(how[0] % len(answers)))
        elif what in {"tell", "break"}:
            await server.tell(how[0])
        elif what == "break list":
            server.broken_lists.append(how[0])
    await server.tell_all()
    for answer in answers:
        copy.informer.put(answer)

    assert not running.done()
    for group in "xy":
        wanted = [
            each["metadata"]
            for each in server.objects.values()
            if each["metadata"]["labels"]["group"] == group
        ]
        assert copy.versions(group) == sorted(each["resourceVersion"] for each in wanted)
        assert copy.seen.get(group, []) == copy.versions(group)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@examples(300)
@given(STEPS)
def test_a_copy_is_what_the_server_has_and_who_is_told_of_changes_has_seen_it(
    steps: list[tuple[Any, ...]],
) -> None:
    asyncio.run(played(steps))


async def test_an_answer_that_comes_after_the_news_of_a_later_change_is_none() -> None:
    """The drift of somebody else's hand would stand until the next change."""
    await played([("ours", "a", "x"), ("write", "a", "x"), ("tell", "next"), ("tell", "next"), ("answer", 0)])


async def test_an_answer_that_comes_after_the_object_went_makes_no_ghost() -> None:
    await played([("ours", "a", "x"), ("delete", "a"), ("tell", "next"), ("tell", "next"), ("answer", 0)])


async def test_an_object_whose_label_is_changed_by_hand_is_missed_where_it_was() -> None:
    await played([("write", "a", "x"), ("tell", "next"), ("write", "a", "y")])


@asynccontextmanager
async def followed(server: Server) -> AsyncIterator[Copy]:
    """A copy that is whole and follows the server."""
    copy = Copy(server)
    running = asyncio.create_task(copy.informer.run())
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await copy.informer.synced.wait()
            yield copy
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_copy_never_goes_back_behind_an_answer_of_our_own() -> None:
    server = Server()
    async with followed(server) as copy:
        server.write("a", "x")
        ours = server.write("a", "x")
        copy.informer.put(ours)
        await server.tell("next")
        after_the_event_before_it = copy.versions("x")

        server.delete("a")
        made_again = server.write("a", "x")
        copy.informer.put(made_again)
        await server.tell("next")
        await server.tell("next")
        after_the_end_of_the_one_before_it = copy.versions("x")

    assert after_the_event_before_it == [ours["metadata"]["resourceVersion"]]
    assert after_the_end_of_the_one_before_it == [made_again["metadata"]["resourceVersion"]]


async def test_what_we_have_made_since_a_list_was_read_is_not_missed_in_it() -> None:
    server = Server()
    server.write("a", "x")
    async with followed(server) as copy:
        copy.informer.put(
            {
                "metadata": {
                    "name": "b",
                    "namespace": "team",
                    "labels": {"group": "x"},
                    "resourceVersion": "99",
                }
            }
        )
        await server.tell(KubeError(410, "Expired", "too old resource version"))

        assert copy.versions("x") == ["2", "99"]


async def test_a_server_that_was_restored_from_a_backup_is_believed() -> None:
    """Its versions go back: what was made since is gone, and what was changed since is as it was
    (https://github.com/kubernetes/kubernetes/issues/107457)."""
    server = Server()
    server.write("a", "x")
    server.write("b", "y")
    async with followed(server) as copy:
        server.write("a", "x")
        server.write("a", "y")
        server.write("c", "x")
        await server.tell_all()
        assert (copy.versions("x"), copy.versions("y")) == (["6"], ["3", "5"])

        server.restore(3)
        await server.tell("bookmark")
        restored = copy.versions("x"), copy.versions("y")
        server.write("a", "x")
        await server.tell("next")

        assert restored == (["2"], ["3"])
        assert (copy.versions("x"), copy.versions("y")) == (["4"], ["3"])
        assert copy.seen == {"x": ["4"], "y": ["3"]}


async def test_a_restored_server_is_believed_whose_versions_go_on_behind_those_that_were_known() -> None:
    """etcd is restored so for Kubernetes (`etcdutl snapshot restore --bump-revision`): watches end, and
    objects have the versions of the backup (https://github.com/etcd-io/etcd/issues/16028)."""
    server = Server()
    server.write("a", "x")
    server.write("b", "y")
    async with followed(server) as copy:
        server.write("a", "y")
        server.write("c", "x")
        await server.tell_all()
        assert (copy.versions("x"), copy.versions("y")) == (["5"], ["3", "4"])

        server.restore(3, bump=1000)
        await server.tell(KubeError(410, "Expired", "compacted"))

        assert (copy.versions("x"), copy.versions("y")) == (["2"], ["3"])
        assert copy.seen == {"x": ["2"], "y": ["3"]}


async def test_what_a_watch_keeps_back_that_says_nothing_at_all_is_listed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Something between that holds back what is said would hold it back from the next watch, too; not even a
    bookmark comes, of which the API server sends one a minute."""
    monkeypatch.setattr(informers, "SHORTEST_WATCH_SECONDS", 0.0)
    server = Server()
    server.write("a", "x")
    async with followed(server) as copy:
        server.write("a", "y")
        server.write("b", "x")
        await server.tell("silence")

        assert (copy.versions("x"), copy.versions("y")) == (["4"], ["3"])
        assert copy.seen == {"x": ["4"], "y": ["3"]}

        await server.tell("bookmark")
        server.write("b", "x")
        await server.tell("next")
        assert copy.versions("x") == ["5"]


class Pauses:
    """A back-off that waits for nothing, and after how many failures in a row it was asked."""

    def __init__(self) -> None:
        self.after: list[int] = []

    def pause(self, failures: int) -> float:
        self.after.append(failures)
        return 0.0


async def test_a_watch_that_breaks_again_and_again_is_begun_ever_more_seldom_until_it_brings_something(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses, server = Pauses(), Server()
    monkeypatch.setattr(informers, "BACKOFF", pauses)
    cut, expired = KubeError(500, "InternalError", "etcd"), KubeError(410, "Expired", "too old")

    async with followed(server):
        for order in (cut, TypeError("what nobody thought of"), cut):
            await server.tell(order)
        server.write("a", "x")
        await server.tell("next")
        await server.tell(expired)
        await server.tell(expired)
        server.write("a", "x")
        await server.tell("next")
        await server.tell(cut)

    assert pauses.after == [1, 2, 3, 2, 1]
