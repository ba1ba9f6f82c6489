"""The players of `make load`: a process that holds thousands of conversations open at once.

`python -m bench.sessions` reads a job (see `Play`) from its standard input. First every session connects
and makes its thread; then it says `{"event": "open"}` and waits for a line on its standard input, so that
its parent can measure the memory of idle sessions; then the play. It reports its progress once a second,
and writes every turn into `out`.

A session keeps its connection. It takes turns between replicas with the others. A refusal (429, 503) is
repeated after `Retry-After` and counted; whatever else is not the right answer is an error.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import orjson
import uvloop
from bench.conversations import Conversation, Turn, answer_of, conversations, read_trace
from bench.processes import allow_connections
from bench.wire import Connection, Reply, request

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

OPENERS = 32
"""Sessions that make their thread at the same time."""
REFUSED = (429, 503)


class Turns(Protocol):
    """What is shared in a play: the turns as their clients saw them."""

    @property
    def turns(self) -> Sequence[DataclassInstance]: ...


S = TypeVar("S", bound=Turns)


@dataclass(frozen=True, slots=True)
class Play:
    """What is played. `addresses`: host and port of each replica."""

    addresses: list[tuple[str, int]]
    sessions: int
    seconds: float
    out: str
    seed: int = 1
    durability: str = "async"


@dataclass(slots=True)
class Asked:
    """One turn as its client saw it; seconds. `first`: until the first piece of a streamed answer."""

    priority: str
    streams: bool
    model: float
    ended_at: float = 0.0
    total: float = 0.0
    first: float | None = None
    refusals: int = 0
    reconnects: int = 0
    problem: str | None = None


@dataclass(slots=True)
class Stage:
    """What all sessions share."""

    play: Play
    began: float = 0.0
    open: int = 0
    running: int = 0
    most_open: int = 0
    most_running: int = 0
    turns: list[Asked] = field(default_factory=list)


class Session:
    """One conversation on one thread, and its connection."""

    def __init__(self, stage: Stage, number: int, conversation: Conversation) -> None:
        self._stage = stage
        self._place = stage.play.addresses[number % len(stage.play.addresses)]
        self._conversation = conversation
        self._connection: Connection | None = None
        self._thread = ""

    async def enter(self) -> None:
        """Connects and makes the thread. Raises `RuntimeError` when it is refused."""
        reply = await self._send(request("POST", "/threads", b"{}"), None)
        if reply.status != 200:
            raise RuntimeError(f"POST /threads answered {reply.status}: {reply.body!r}")
        self._thread = orjson.loads(reply.body)["thread_id"]

    async def live(self) -> None:
        """From its start to its last answer."""
        stage = self._stage
        await asyncio.sleep(max(0.0, stage.began + self._conversation.starts_at - time.perf_counter()))
        stage.open += 1
        stage.most_open = max(stage.most_open, stage.open)
        for place, turn in enumerate(self._conversation.turns):
            await asyncio.sleep(turn.think_seconds)
            stage.turns.append(await self._ask(place, turn))
        await asyncio.sleep(self._conversation.stays_seconds)
        stage.open -= 1
        if self._connection is not None:
            self._connection.close()

    async def _ask(self, place: int, turn: Turn) -> Asked:
        stage, asked = self._stage, Asked(self._conversation.priority, turn.streams, turn.seconds)
        stage.running += 1
        stage.most_running = max(stage.most_running, stage.running)
        began = time.perf_counter()
        try:
            asked.problem = await self._answered(place, turn, asked, began)
        except OSError as lost:
            asked.problem = f"{type(lost).__name__}: {lost}"
        stage.running -= 1
        asked.total = time.perf_counter() - began
        asked.ended_at = time.perf_counter() - stage.began
        return asked

    async def _answered(self, place: int, turn: Turn, asked: Asked, began: float) -> str | None:
        """What is wrong with the answer, or None."""
        kind = "stream" if turn.streams else "wait"
        sent = request("POST", f"/threads/{self._thread}/runs/{kind}", self._body(turn))
        pieces: list[bytes] = []

        def piece(data: bytes) -> None:
            if asked.first is None and b"event: custom" in data:
                asked.first = time.perf_counter() - began
            pieces.append(data)

        while (reply := await self._send(sent, piece, asked)).status in REFUSED:
            pieces.clear()
            asked.refusals += 1
            await asyncio.sleep(float(reply.header("retry-after") or 1))
        body, wanted = b"".join(pieces), answer_of(place, turn.question)
        if reply.status != 200:
            return f"status {reply.status}: {body[:120].decode(errors='replace')}"
        answers = streamed_answers(body) if turn.streams else _last_answer(orjson.loads(body))
        return None if answers == [wanted] else f"{answers} is not {wanted!r}; the end: {body[-200:]!r}"

    def _body(self, turn: Turn) -> bytes:
        given = {"question": turn.question, "pieces": turn.pieces, "seconds": turn.seconds}
        body: dict[str, Any] = {
            "assistant_id": "agent",
            "input": given,
            "metadata": {"priority": self._conversation.priority},
            "durability": self._stage.play.durability,
        }
        if turn.streams:
            body["stream_mode"] = ["custom", "updates"]
        return orjson.dumps(body)

    async def _send(self, sent: bytes, on_data: Any, asked: Asked | None = None) -> Reply:
        """The answer. A connection that the server closed while it was idle is opened anew."""
        if self._connection is None or self._connection.closed:
            if self._connection is not None and asked is not None:
                asked.reconnects += 1
            self._connection = await Connection.open(*self._place)
        return await self._connection.ask(sent, on_data)


def streamed_answers(body: bytes) -> list[str]:
    """The answers in the `updates` of an event stream."""
    found: list[str] = []
    for event in body.split(b"\n\n"):
        name, _, rest = event.partition(b"\n")
        if name == b"event: error":
            return [rest.decode(errors="replace")]
        if name == b"event: updates":
            data = orjson.loads(rest.removeprefix(b"data: ").partition(b"\nid: ")[0])
            found += (data.get("answer") or {}).get("answers", [])
    return found


def _last_answer(values: dict[str, Any]) -> list[str]:
    return list(values.get("answers", []))[-1:] or [str(values)[:120]]


def say(event: str, **facts: Any) -> None:
    """One line for the parent process."""
    print(json.dumps({"event": event, **facts}), flush=True)


async def enter_all(sessions: list[Session]) -> None:
    """Some at a time."""
    waiting = iter(sessions)

    async def opener() -> None:
        for session in waiting:
            await session.enter()

    await asyncio.gather(*(opener() for _ in range(OPENERS)))


async def tell(stage: Stage) -> None:
    """How it goes, once a second."""
    while True:
        await asyncio.sleep(1.0)
        at = time.perf_counter() - stage.began
        say("at", seconds=at, open=stage.open, running=stage.running, turns=len(stage.turns))


async def perform(play: Play) -> Stage:
    """The whole play."""
    stage = Stage(play)
    planned = conversations(read_trace(), play.sessions, play.seconds, play.seed)
    sessions = [Session(stage, number, each) for number, each in enumerate(planned)]
    await enter_all(sessions)
    say("open", sessions=len(sessions))
    await asyncio.to_thread(sys.stdin.readline)
    stage.began = time.perf_counter()
    await live(tell(stage), [session.live() for session in sessions])
    return stage


async def live(telling: Coroutine[Any, Any, None], everybody: Iterable[Coroutine[Any, Any, None]]) -> None:
    """All live to their end, while `telling` reports the progress."""
    told = asyncio.create_task(telling)
    await asyncio.gather(*everybody)
    told.cancel()


def played(performance: Coroutine[Any, Any, S], out: str) -> S:
    """Plays, and writes every turn into a file, in JSON lines."""
    allow_connections()
    stage = uvloop.run(performance)
    Path(out).write_bytes(b"\n".join(orjson.dumps(asdict(turn)) for turn in stage.turns))
    return stage


def main() -> None:
    """Plays the job."""
    play = Play(**json.loads(sys.stdin.readline()))
    stage = played(perform(play), play.out)
    cpu = time.process_time()
    say("done", most_open=stage.most_open, most_running=stage.most_running, cpu_seconds=cpu)


if __name__ == "__main__":
    main()
