"""The load generator: a process of its own that plays one load and writes its measurements as JSON.

`python -m bench.generator` reads a job (see `Job`) from its standard input. Loads:

`wait`      clients that each wait for the result of one run after the other, on threads that are made before
            the measurement: a new one for each run;
`stateless` the same without threads;
`burst`     runs in the background, all at once, until the last has ended;
`get`       a path, over and over: what a bare server, and this generator itself, can do.

Every result is compared with the right one. Whatever is not is an error and no run.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson
import uvloop
from bench.processes import cpu_seconds
from bench.wire import Connection, Reply, request

MAKERS = 16
"""Connections on which threads are made, and on which a burst is sent."""
POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Job:
    """What is played. `addresses`: host and port of each replica, which take turns."""

    load: str
    addresses: list[tuple[str, int]]
    clients: int = 1
    seconds: float = 3.0
    warm_seconds: float = 0.5
    runs: int = 0
    """Threads that are made beforehand, or the size of the burst."""
    path: str = "/ok"
    body: dict[str, Any] = field(default_factory=dict)
    right: Any = None
    watched: dict[str, list[int]] = field(default_factory=dict)
    """Processes whose processor time is taken: pids by a name."""


@dataclass(slots=True)
class Seen:
    """What came of it. Times of answers in seconds; `cpu` in seconds by the names of `Job.watched`."""

    seconds: float = 0.0
    answers: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    cpu: dict[str, float] = field(default_factory=dict)


class Meter:
    """Notes time and processor time at the begin of what counts, and their growth at its end."""

    def __init__(self, job: Job) -> None:
        self._watched = job.watched
        self.seen = Seen()
        self.counts = False
        self._began = 0.0
        self._before: dict[str, float] = {}

    def begin(self) -> None:
        """From here on answers count."""
        self._before = self._cpu()
        self._began = time.perf_counter()
        self.counts = True

    def end(self) -> None:
        """Answers that come later don't count."""
        if self.counts:
            self.counts = False
            self.seen.seconds = time.perf_counter() - self._began
            self.seen.cpu = {name: now - self._before[name] for name, now in self._cpu().items()}

    def answered(self, seconds: float, problem: str | None) -> None:
        """One answer: what was wrong with it, or None."""
        if problem is not None:
            self.seen.errors[problem] += 1
        elif self.counts:
            self.seen.answers.append(seconds)

    def _cpu(self) -> dict[str, float]:
        taken = {name: cpu_seconds(pids) for name, pids in self._watched.items()}
        return {**taken, "generator": time.process_time()}


def problem_of(reply: Reply, right: Any) -> str | None:
    """What is wrong with an answer, in few words; None when it is right (`right` None: any body)."""
    if reply.status != 200:
        return f"status {reply.status}: {reply.body[:120].decode(errors='replace')}"
    if right is not None and orjson.loads(reply.body) != right:
        return f"wrong result: {reply.body[:120].decode(errors='replace')}"
    return None


async def asked(connection: Connection, sent: bytes, right: Any) -> str | None:
    """Sends a request and judges its answer. Raises `ConnectionError`: a server that closes what it should
    keep can't be measured."""
    return problem_of(await connection.ask(sent), right)


async def connect(job: Job, number: int) -> list[Connection]:
    """Connections, which take turns between the replicas."""
    places = [job.addresses[index % len(job.addresses)] for index in range(number)]
    return [await Connection.open(*place) for place in places]


async def make_threads(job: Job, metadata: dict[str, str]) -> list[str]:
    """New threads, by the API."""
    body = orjson.dumps({"metadata": metadata})
    sent = request("POST", "/threads", body)
    made: list[str] = []

    async def maker(connection: Connection) -> None:
        while len(made) < job.runs:
            reply = await connection.ask(sent)
            if reply.status != 200:
                raise RuntimeError(f"POST /threads answered {reply.status}: {reply.body!r}")
            made.append(orjson.loads(reply.body)["thread_id"])

    connections = await connect(job, MAKERS)
    await asyncio.gather(*map(maker, connections))
    for connection in connections:
        connection.close()
    return made


async def requests(job: Job) -> Iterator[bytes]:
    """What the clients send, one after the other; comes to an end when the threads are used up."""
    if job.load == "wait":
        body = orjson.dumps(job.body)
        threads = await make_threads(job, {})
        return (request("POST", f"/threads/{thread}/runs/wait", body) for thread in threads)
    if job.load == "stateless":
        sent = request("POST", "/runs/wait", orjson.dumps(job.body))
    else:
        sent = request("GET", job.path)
    return iter(lambda: sent, None)


async def closed_loop(job: Job) -> Seen:
    """Each client sends its next request when it has the answer to its last.

    What counts begins when each has had an answer, and lasts until there are as many answers as clients, so
    that no time of an answer is cut short by the begin or the end. It ends early when no request is left.
    """
    meter = Meter(job)
    to_send = await requests(job)
    over, steady, enough = asyncio.Event(), asyncio.Event(), asyncio.Event()
    without_answer = job.clients
    # What those use who are answered early, so that enough is left for what counts.
    early = max(1, job.runs // (2 * job.clients))

    async def client(connection: Connection) -> None:
        nonlocal without_answer
        answers = 0
        while not over.is_set() and (sent := next(to_send, None)) is not None:
            began = time.perf_counter()
            problem = await asked(connection, sent, job.right)
            meter.answered(time.perf_counter() - began, problem)
            answers += 1
            without_answer -= answers == 1
            if without_answer == 0:
                steady.set()
            if job.runs and answers >= early:
                await steady.wait()
            if len(meter.seen.answers) + meter.seen.errors.total() >= job.clients:
                enough.set()

    async def measure() -> None:
        await asyncio.gather(asyncio.sleep(job.warm_seconds), steady.wait())
        meter.begin()
        await asyncio.gather(asyncio.sleep(job.seconds), enough.wait())

    connections = await connect(job, job.clients)
    clients = [asyncio.ensure_future(client(connection)) for connection in connections]
    measured = asyncio.ensure_future(measure())
    await asyncio.wait({measured, *clients}, return_when=asyncio.FIRST_COMPLETED)
    meter.end()
    over.set()
    measured.cancel()
    await asyncio.gather(*clients)
    if not meter.seen.seconds:
        raise RuntimeError(f"{job.runs} threads were used up before the measurement began")
    for connection in connections:
        connection.close()
    return meter.seen


async def burst(job: Job) -> Seen:
    """All runs at once, then until none is left. What counts lasts from the first request to the last end."""
    label = {"burst": str(time.time_ns())}
    threads = await make_threads(job, label)
    body = orjson.dumps(job.body)
    to_send = iter([request("POST", f"/threads/{thread}/runs", body) for thread in threads])
    meter = Meter(job)

    async def sender(connection: Connection) -> None:
        for sent in to_send:
            began = time.perf_counter()
            problem = await asked(connection, sent, None)
            meter.answered(time.perf_counter() - began, problem)

    connections = await connect(job, MAKERS)
    meter.begin()
    await asyncio.gather(*map(sender, connections))
    left = request("POST", "/threads/count", orjson.dumps({"metadata": label, "status": "busy"}))
    while orjson.loads((await connections[0].ask(left)).body):  # noqa: ASYNC110 - another process ends it
        await asyncio.sleep(POLL_SECONDS)
    meter.end()
    search = {"metadata": label, "limit": 1000, "select": ["values"]}
    found = orjson.loads(
        (await connections[0].ask(request("POST", "/threads/search", orjson.dumps(search)))).body
    )
    wrong = sum(thread["values"] != job.right for thread in found) + len(threads) - len(found)
    if wrong:
        meter.seen.errors["wrong result"] += wrong
    for connection in connections:
        connection.close()
    return meter.seen


def main() -> None:
    """Plays the job."""
    job = Job(**json.load(sys.stdin))
    seen = uvloop.run(burst(job) if job.load == "burst" else closed_loop(job))
    tell(seen, sys.stdout.fileno())


def tell(seen: Seen, to: int) -> None:
    """Writes all of it to a file descriptor. `print` would not where PYTHONUNBUFFERED is set: what a signal
    interrupts is cut off then, without an error."""
    with open(to, "w", closefd=False) as out:
        out.write(json.dumps(asdict(seen)))


if __name__ == "__main__":
    main()
