"""The customers of `make centre`: a process that plays all of them.

`python -m bench.centre.players` reads a job (see `Play`) from its standard input, says `{"event": "open"}`
when its customers are made up, waits for a line, and plays. It reports its progress once a second, and
writes every turn into `out`.

A turn is a request of its own, as behind a load balancer, and is streamed. A customer's client survives
what happens to the service as any good client does: a refusal is repeated after `Retry-After`; a stream
that was cut is taken up again behind the last event that came; before a request is repeated whose answer
was lost, the session's runs are read. All of that is counted, and is in the turn's time.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
import uuid
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson
from bench.centre import example
from bench.centre.account import Turn
from bench.centre.customers import Ask, Customer, customers
from bench.centre.event_stream import Heard
from bench.centre.phases import phases, rhythm, steady
from bench.conversations import read_trace
from bench.sessions import REFUSED, live, played, say
from bench.wire import Connection, Reply, request

PATIENCE_SECONDS: Final = 120.0
"""For one turn; who has waited so long has no answer."""
PAUSE_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class Play:
    """What is played. `rate`: turns a second in the steady phase; `folder`: the example's."""

    host: str
    port: int
    customers: int
    rate: float
    seconds: float
    out: str
    folder: str
    seed: int = 1
    eventful: bool = True
    """With a spike; else steady throughout."""
    fresh: bool = False
    """No question is asked twice."""


@dataclass(slots=True)
class Stage:
    """What all customers share. `began`: monotonic seconds."""

    play: Play
    began: float = 0.0
    online: int = 0
    most_online: int = 0
    running: int = 0
    turns: list[Turn] = field(default_factory=list)

    @property
    def now(self) -> float:
        """Seconds since the play began."""
        return time.monotonic() - self.began

    async def until(self, at: float) -> None:
        """Waits for a time of the play."""
        await asyncio.sleep(max(0.0, at - self.now))


class Client:
    """One customer's client."""

    def __init__(self, stage: Stage, customer: Customer) -> None:
        self._stage = stage
        self._customer = customer
        self._headers = _bearer(example.token_of(customer.name))
        self._session = self._asked_in = -1
        self._thread = ""

    async def live(self) -> None:
        """From the customer's coming to the end of the play."""
        stage = self._stage
        await stage.until(self._customer.comes_at)
        came = self._noted("a session", "normal", "")
        await self._play(came, self._enter(0, came))
        if came.problem is not None:
            stage.turns.append(came)
        stage.online += 1
        stage.most_online = max(stage.most_online, stage.online)
        for ask in self._customer.asks:
            await stage.until(ask.at)
            stage.turns += await self._turn(ask)
        await stage.until(stage.play.seconds)
        stage.online -= 1

    async def _turn(self, ask: Ask) -> list[Turn]:
        """The turn, and that of the person to whom it was handed over."""
        question = ask.question
        turn = self._noted(question.intent, question.priority, question.text)
        await self._play(turn, self._ask(ask, turn))
        if not turn.handed_over or turn.problem:
            return [turn]
        answered = self._noted("answer of a person", "normal", "")
        colleague = example.token_of("mia", "staff")
        await self._play(answered, self._run(example.COLLEAGUE, answered, _bearer(colleague)))
        return [turn, answered]

    def _noted(self, intent: str, priority: str, text: str) -> Turn:
        return Turn(self._stage.now, intent, priority, question=text)

    async def _play(self, turn: Turn, work: Coroutine[Any, Any, None]) -> None:
        stage = self._stage
        stage.running += 1
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await work
        except TimeoutError:
            turn.problem = f"no answer within {PATIENCE_SECONDS:g} s"
        stage.running -= 1
        turn.total = stage.now - turn.at

    async def _enter(self, session: int, turn: Turn) -> None:
        """A new session has a thread of its own."""
        if session != self._session:
            self._session, self._thread = session, str(uuid.uuid4())
            body = orjson.dumps({"thread_id": self._thread, "if_exists": "do_nothing"})
            await self._whole(request("POST", "/threads", body, self._headers), turn)

    async def _ask(self, ask: Ask, turn: Turn) -> None:
        turn.opening = ask.session != self._asked_in
        self._asked_in = ask.session
        await self._enter(ask.session, turn)
        if turn.problem is not None:
            return
        said = example.said(ask.question, str(uuid.uuid4()), fresh=self._stage.play.fresh)
        await self._run(said, turn, self._headers)

    async def _run(self, work: Mapping[str, Any], turn: Turn, headers: str) -> None:
        """A run of the session, and its answer."""
        turn.thread_id, heard, mark = self._thread, Heard(), str(uuid.uuid4())
        started = request(
            "POST", f"/threads/{self._thread}/runs/stream", orjson.dumps(example.body(work, mark)), headers
        )
        await self._follow(started, mark, turn, heard, headers)
        turn.run_id = heard.run_id
        if turn.problem is not None:
            return
        result: Any = None
        if example.lacks(heard):
            # What was not received live is requested: the result of the run exists, whatever became of
            # events.
            path = f"/threads/{self._thread}/runs/{heard.run_id}/join"
            result = orjson.loads((await self._whole(request("GET", path, headers=headers), turn)).body)
        example.judge(heard, result, turn)

    async def _follow(self, started: bytes, mark: str, turn: Turn, heard: Heard, headers: str) -> None:
        """Until the stream of the run has come to its end."""
        while True:
            sent = started
            if heard.run_id is not None:
                path = f"/threads/{self._thread}/runs/{heard.run_id}/stream"
                sent = request("GET", path, headers=f"{headers}last-event-id: {heard.last_id or '-1'}\r\n")
            said: list[bytes] = []

            def piece(data: bytes, said: list[bytes] = said) -> None:
                said.append(data)
                heard.feed(data)
                if turn.first is None and heard.pieces:
                    turn.first = self._stage.now - turn.at

            reply = await self._once(sent, piece)
            if reply is None and heard.run_id is None:
                heard.run_id = await self._begun(mark, turn, headers)
            elif reply is None:
                heard.cut()
                turn.cuts += 1
            elif reply.status == 200:
                return
            elif not await self._refused(reply, turn):
                turn.problem = f"status {reply.status}: {b''.join(said)[:200].decode(errors='replace')}"
                return

    async def _begun(self, mark: str, turn: Turn, headers: str) -> str | None:
        """The run of a request whose answer was lost; None when there is none."""
        sent = request("GET", f"/threads/{self._thread}/runs?limit=3", headers=headers)
        runs = orjson.loads((await self._whole(sent, turn)).body)
        return next((run["run_id"] for run in runs if run["metadata"].get(example.MARK) == mark), None)

    async def _whole(self, sent: bytes, turn: Turn) -> Reply:
        """The answer to a request that changes nothing when it is repeated. Raises `TimeoutError` through
        its caller's patience."""
        while True:
            reply = await self._once(sent)
            if reply is not None and reply.status == 200:
                return reply
            if reply is not None and not await self._refused(reply, turn):
                turn.problem = f"status {reply.status}: {reply.body[:200].decode(errors='replace')}"
                return reply

    async def _refused(self, reply: Reply, turn: Turn) -> bool:
        """Whether it is a refusal; then its pause is over."""
        if reply.status not in REFUSED:
            return False
        turn.refusals += 1
        await asyncio.sleep(float(reply.header("retry-after") or 1))
        return True

    async def _once(self, sent: bytes, on_data: Any = None) -> Reply | None:
        """One request on a connection of its own; None when the connection was lost, after a pause."""
        connection: Connection | None = None
        try:
            connection = await Connection.open(self._stage.play.host, self._stage.play.port)
            return await connection.ask(sent, on_data)
        except OSError:
            await asyncio.sleep(PAUSE_SECONDS)
            return None
        finally:
            if connection is not None:
                connection.close()


def _bearer(token: str) -> str:
    return f"authorization: Bearer {token}\r\n"


async def tell(stage: Stage) -> None:
    """How it goes, once a second."""
    while True:
        await asyncio.sleep(1.0)
        wrong = sum(turn.problem is not None for turn in stage.turns)
        say("at", seconds=stage.now, online=stage.online, running=stage.running,
            turns=len(stage.turns), wrong=wrong)  # fmt: skip


async def perform(play: Play) -> Stage:
    """The whole play."""
    trace = rhythm([at for at, _ in read_trace()])
    everybody = customers(
        trace,
        (phases if play.eventful else steady)(play.seconds),
        example.questions(Path(play.folder)),
        count=play.customers,
        rate=play.rate,
        seed=play.seed,
    )
    stage = Stage(play)
    say("open", customers=len(everybody), questions=sum(len(each.asks) for each in everybody))
    await asyncio.to_thread(sys.stdin.readline)
    stage.began = time.monotonic()
    await live(tell(stage), [Client(stage, each).live() for each in everybody])
    return stage


def main() -> None:
    """Plays the job."""
    play = Play(**json.loads(sys.stdin.readline()))
    stage = played(perform(play), play.out)
    say("done", most_online=stage.most_online)


if __name__ == "__main__":
    main()
