"""Plays load against a service and accounts for every run: what was acknowledged, and how it ended.

Stands alone (standard library and httpx), so that it runs as it is inside a pod of the runtime image. Two
plays:

`spike`: arrivals by a Poisson process with a fixed seed: at a base rate, at a spike's, at the base again. On
SIGTERM no more are sent, and those that were are followed to their end.
`sessions`: many threads at once, each in the middle of a run while something is done to the service.

Each run is retried until it is acknowledged, without being made twice: its thread's id is chosen here, and
the thread's runs are read before a request is repeated. Both print one JSON summary as their last line;
`--out` keeps a record of every run as JSON lines.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import signal
import sys
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import httpx

FINAL = {"success", "error", "timeout", "interrupted"}
POLL_SECONDS = 0.25
Send = Callable[[], Awaitable[httpx.Response]]


@dataclass
class Played:
    """One run as its client saw it. Times are seconds since the epoch."""

    thread_id: str
    priority: str
    sent_at: float
    run_id: str | None = None
    acknowledged_at: float | None = None
    ended_at: float | None = None
    status: str | None = None
    refusals: int = 0
    reconnects: int = 0
    wrong_state: bool = False
    problems: list[str] = field(default_factory=list)

    @property
    def latency(self) -> float | None:
        """Seconds from the acknowledgement to the end."""
        if self.ended_at is None or self.acknowledged_at is None:
            return None
        return self.ended_at - self.acknowledged_at


@dataclass(frozen=True)
class Work:
    """What each run is asked to do."""

    assistant: str
    steps: int
    step_seconds: float
    durability: str
    is_new: bool = False
    """Replicas that don't know the assistant yet are asked again."""

    def body(self, priority: str) -> dict[str, Any]:
        """The request that starts a run."""
        return {
            "assistant_id": self.assistant,
            "input": {
                "messages": [{"role": "user", "content": "My order has not arrived."}],
                "steps": self.steps,
                "step_seconds": self.step_seconds,
            },
            "metadata": {"priority": priority},
            "multitask_strategy": "reject",
            "durability": self.durability,
        }


class Player:
    """A client that survives whatever happens to the service, until `deadline` (monotonic seconds)."""

    def __init__(self, client: httpx.AsyncClient, work: Work, deadline: float) -> None:
        self._client = client
        self._work = work
        self._deadline = deadline

    async def play(self, priority: str, acknowledged: Callable[[], None] = lambda: None) -> Played:
        """One session with one run, from its first request to its end or the deadline."""
        run = Played(thread_id=str(uuid.uuid4()), priority=priority, sent_at=time.time())
        try:
            await self._start(run)
            acknowledged()
            await self._follow(run)
        except TimeoutError:
            run.problems.append("deadline")
        except httpx.HTTPStatusError as refused:
            answer = refused.response
            run.problems.append(
                f"{answer.request.url.path} answered {answer.status_code}: {answer.text[:200]}"
            )
        return run

    async def _once(self, run: Played, send: Send) -> httpx.Response | None:
        """One request; None after a passing failure (a lost connection, a replica on its way in or out)."""
        if time.monotonic() > self._deadline:
            raise TimeoutError
        pause = POLL_SECONDS
        try:
            answer = await send()
        except httpx.TransportError as problem:
            run.reconnects += 1
            _remember(run, type(problem).__name__)
        else:
            if answer.status_code not in (502, 503, 504) and not _is_of_another(answer):
                return answer
            _remember(run, str(answer.status_code))
            pause = float(answer.headers.get("retry-after", POLL_SECONDS))
        await asyncio.sleep(pause)
        return None

    async def _request(self, run: Played, send: Send) -> httpx.Response:
        """Repeats a request that changes nothing when it is repeated, until it is answered."""
        while (answer := await self._once(run, send)) is None:
            pass
        return answer

    async def _start(self, run: Played) -> None:
        thread = {"thread_id": run.thread_id, "if_exists": "do_nothing"}
        (await self._request(run, lambda: self._client.post("/threads", json=thread))).raise_for_status()
        runs = f"/threads/{run.thread_id}/runs"
        body = self._work.body(run.priority)
        while run.run_id is None:
            answer = await self._once(run, lambda: self._client.post(runs, json=body))
            if answer is None or answer.status_code == 409:
                # The request may have been taken and its answer lost: then that run is ours. It may even be
                # taken so late that the next one finds the thread busy with it.
                known = (await self._request(run, lambda: self._client.get(runs))).json()
                run.run_id = known[0]["run_id"] if known else None
            elif answer.status_code == 429:
                run.refusals += 1
                await asyncio.sleep(float(answer.headers["retry-after"]))
            elif answer.status_code == 404 and self._work.is_new:
                await asyncio.sleep(4 * POLL_SECONDS)
            else:
                answer.raise_for_status()
                run.run_id = answer.json()["run_id"]
        run.acknowledged_at = time.time()

    async def _follow(self, run: Played) -> None:
        path = f"/threads/{run.thread_id}/runs/{run.run_id}"
        while True:
            await self._request(run, lambda: self._client.get(f"{path}/join"))
            answer = await self._request(run, lambda: self._client.get(path))
            if answer.status_code != 200:
                run.problems.append(f"run answered {answer.status_code}")
                return
            if answer.json()["status"] in FINAL:
                break
            await asyncio.sleep(POLL_SECONDS)
        run.ended_at = time.time()
        ended = answer.json()
        run.status = ended["status"]
        if ended.get("error"):
            run.problems.append(ended["error"])
        await self._verify(run)

    async def _verify(self, run: Played) -> None:
        """The final state must hold every step once and in order."""
        state = f"/threads/{run.thread_id}/state"
        while (answer := await self._request(run, lambda: self._client.get(state))).status_code == 404:
            if not self._work.is_new:
                break
            await asyncio.sleep(4 * POLL_SECONDS)
        run.wrong_state = answer.status_code != 200
        answer.raise_for_status()
        done = answer.json()["values"].get("done")
        if run.status == "success" and done != list(range(self._work.steps)):
            run.wrong_state = True
            run.problems.append(f"steps in the final state: {done}")


def _is_of_another(answer: httpx.Response) -> bool:
    """A refusal without a word. The service gives each of its own a body: while kube-proxy writes its rules,
    the address of a Service can lead out of the cluster, to whoever is there.
    """
    return answer.is_error and not answer.content and "content-type" not in answer.headers


def _remember(run: Played, problem: str) -> None:
    if problem not in run.problems:
        run.problems.append(problem)


def percentile(values: list[float], share: float) -> float | None:
    """The value below which `share` of `values` lie (nearest rank); None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 3)


def summary(runs: list[Played], ideal_seconds: float) -> dict[str, Any]:
    """The account of all runs. `ideal_seconds` is a run's own work, without any wait."""
    acknowledged = [run for run in runs if run.acknowledged_at is not None]
    finished = [run for run in acknowledged if run.status is not None]
    wrong = [run for run in finished if run.status != "success" or run.wrong_state]
    everything = [run.latency for run in finished if run.latency is not None]
    by_priority = {
        priority: {
            "runs": len(group),
            "p50": percentile(group, 0.5),
            "p95": percentile(group, 0.95),
        }
        for priority in ("high", "normal", "low")
        if (
            group := [run.latency for run in finished if run.priority == priority and run.latency is not None]
        )
    }
    return {
        "sent": len(runs),
        "acknowledged": len(acknowledged),
        "finished": len(finished),
        "lost": len(acknowledged) - len(finished),
        "wrong": len(wrong),
        "refusals": sum(run.refusals for run in runs),
        "reconnects": sum(run.reconnects for run in runs),
        "p50": percentile(everything, 0.5),
        "p95": percentile(everything, 0.95),
        "ideal": ideal_seconds,
        "by_priority": by_priority,
        "examples_of_problems": [run.problems for run in runs if run in wrong or run.status is None][:5],
    }


def say(event: str, **facts: Any) -> None:
    """One line of JSON for the process that watches."""
    print(json.dumps({"event": event, "at": time.time(), **facts}), flush=True)


async def spike(player: Player, options: argparse.Namespace) -> list[Played]:
    """Base, spike, base: arrivals do not wait for earlier runs (open loop)."""
    dice = random.Random(options.seed)
    names, weights = zip(*(part.split("=") for part in options.mix.split(",")), strict=True)
    shares = [float(weight) for weight in weights]
    phases = [
        ("base", options.base_rate, options.base_seconds),
        ("spike", options.spike_rate, options.spike_seconds),
        ("after", options.base_rate, options.after_seconds),
    ]
    tasks: list[asyncio.Task[Played]] = []
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    due = time.monotonic()
    for name, rate, seconds in phases:
        if stop.is_set():
            break
        say(name, rate=rate)
        end = due + seconds
        while (due := due + dice.expovariate(rate)) < end and not await _is_set(stop, due):
            tasks.append(asyncio.create_task(player.play(dice.choices(names, shares)[0])))
        due = end
        await _is_set(stop, due)
    say("sent", runs=len(tasks))
    return list(await asyncio.gather(*tasks))


async def _is_set(stop: asyncio.Event, until: float) -> bool:
    """At that time (monotonic seconds), or as soon as it is."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), max(0.0, until - time.monotonic()))
    return stop.is_set()


async def sessions(player: Player, options: argparse.Namespace) -> list[Played]:
    """Many sessions at once; says `started` when the service has acknowledged all of them."""
    acknowledged = 0

    def count() -> None:
        nonlocal acknowledged
        acknowledged += 1
        if acknowledged == options.count:
            say("started", sessions=acknowledged)

    tasks = [asyncio.create_task(player.play("normal", count)) for _ in range(options.count)]
    return list(await asyncio.gather(*tasks))


def arguments(argv: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Plays load against a service and accounts for every run.")
    plays = parser.add_subparsers(dest="play", required=True)
    for name in ("spike", "sessions"):
        play = plays.add_parser(name)
        play.add_argument("--url", required=True)
        play.add_argument("--assistant", default="agent")
        play.add_argument("--new", action="store_true", help="ask again where it is not known yet")
        play.add_argument("--steps", type=int, default=3)
        play.add_argument("--step-seconds", type=float, default=0.5)
        play.add_argument("--durability", choices=("sync", "async", "exit"), default="async")
        play.add_argument("--deadline", type=float, default=300.0, help="seconds after which it gives up")
        play.add_argument("--out", type=Path, help="file for one JSON line a run")
        if name == "spike":
            play.add_argument("--base-rate", type=float, default=2.0, help="runs a second")
            play.add_argument("--spike-rate", type=float, default=20.0, help="runs a second")
            play.add_argument("--base-seconds", type=float, default=10.0)
            play.add_argument("--spike-seconds", type=float, default=20.0)
            play.add_argument("--after-seconds", type=float, default=10.0)
            play.add_argument("--mix", default="high=0.2,normal=0.5,low=0.3")
            play.add_argument("--seed", type=int, default=1)
        else:
            play.add_argument("--count", type=int, default=200)
    return parser.parse_args(argv)


async def main(argv: list[str]) -> int:
    """0 when every acknowledged run finished as it should, else 1."""
    options = arguments(argv)
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=100)
    timeout = httpx.Timeout(10.0, read=120.0)
    async with httpx.AsyncClient(base_url=options.url, limits=limits, timeout=timeout) as client:
        work = Work(options.assistant, options.steps, options.step_seconds, options.durability, options.new)
        player = Player(client, work, time.monotonic() + options.deadline)
        runs = await (spike if options.play == "spike" else sessions)(player, options)
    if options.out:
        options.out.write_text("".join(json.dumps(asdict(run)) + "\n" for run in runs))
    result = summary(runs, options.steps * options.step_seconds)
    print(json.dumps(result), flush=True)
    return 0 if result["lost"] == result["wrong"] == 0 and result["acknowledged"] == result["sent"] else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
