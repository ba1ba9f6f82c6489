"""Runs a manifest on this machine until it is stopped: observe, decide, act, show, several times a second.

Decisions are made elsewhere (`scaling.decide`, `plan.plan`). Changed files make a new generation of
workers, which replace the old ones one by one; the first SIGINT or SIGTERM drains everything, a second
one ends it at once.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace

import aiohttp

from lgs_crds import ManifestError
from lgs_operator.local import processes as workers
from lgs_operator.local.alerts import SECRET, LocalAlerts
from lgs_operator.local.changes import changes
from lgs_operator.local.ended import EndedWorkers
from lgs_operator.local.errors import LocalError
from lgs_operator.local.machine import is_locked, left_over, lock, remember, reserve
from lgs_operator.local.notices import Notices
from lgs_operator.local.page import LocalPage
from lgs_operator.local.plan import Situation, plan
from lgs_operator.local.service import LocalService, Options, read
from lgs_operator.local.state import State
from lgs_operator.local.view import View
from lgs_operator.receivers import Receivers
from lgs_operator.scaling import Decision, Observation, ReplicaSample, decide
from lgs_operator.scaling.samples import NoSample, first_without, typical_startup
from lgs_operator.scaling.scrape import Usage
from lgs_operator.webhook_calls import webhook_caller

TICK_SECONDS = 0.2
ROUND_SECONDS = 1.0
KILL_AFTER_SECONDS = 10.0


class Supervisor:
    """One `lgs up`."""

    def __init__(self, options: Options, view: View) -> None:
        self._options = options
        self._view = view
        self._ended = EndedWorkers(options, view)
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._port = options.port
        self._page = ""
        self._history_lost = False

    async def run(self) -> None:
        """Runs until a signal, then until everything is drained. Raises `ManifestError`, `OSError` or
        `LocalError` at the start, and `LocalError` later if it can't go on.
        """
        async with AsyncExitStack() as stack:
            service = read(self._options)
            stack.enter_context(lock(service.data_dir))
            orphans = left_over(service.data_dir)
            if orphans:
                pids = " ".join(map(str, orphans))
                raise LocalError(f"workers of an earlier lgs up still run; end them first: kill {pids}")
            if self._options.history is not None:
                self._options.history.open("a", encoding="utf-8").close()
            held = stack.enter_context(reserve(self._options.host, self._options.port))
            self._port = int(held.getsockname()[1])
            session = await stack.enter_async_context(aiohttp.ClientSession())
            stack.enter_context(self._view)
            self._on_signals()
            state = State(service)
            self._announce(service)
            stack.callback(self._let_go, state)
            caller = await stack.enter_async_context(webhook_caller(Receivers(anybody=True)))
            outer = os.environ if self._options.env is None else self._options.env
            alerts = LocalAlerts(caller, outer.get(SECRET))
            stack.push_async_callback(alerts.webhooks.close)
            page = LocalPage(service.name, self._url, service.source)
            self._page = await page.serve(stack, self._options.page_port)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow_changes(state))
                await self._serve(state, session, alerts, page)
            await self._drain(state)

    def _on_signals(self) -> None:
        loop = asyncio.get_running_loop()

        def asked() -> None:
            (self._hurry if self._stop.is_set() else self._stop).set()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, asked)

    def _announce(self, service: LocalService) -> None:
        for note in service.notes:
            self._view.say(note)

    @property
    def _url(self) -> str:
        return f"http://{self._options.host}:{self._port}"

    async def _follow_changes(self, state: State) -> None:
        watch = changes(self._options.manifest, state.service.source, self._stop)
        async with aclosing(watch) as rounds:  # type: ignore[type-var]
            async for names in rounds:
                try:
                    service = read(self._options)
                except (ManifestError, LocalError, OSError) as error:
                    self._view.say(f"{error}\nwhat runs stays as it is until the file is mended")
                    continue
                if service.name != state.service.name:
                    self._view.say("metadata.name changed: start lgs up anew for another service")
                    continue
                state.service, state.can_work = service, True
                state.generation, state.crashes, state.not_before = state.generation + 1, 0, 0.0
                state.notices = Notices(state.notices.circuits)
                self._view.say(f"{', '.join(names)} changed: workers are replaced one by one")

    async def _serve(
        self, state: State, session: aiohttp.ClientSession, alerts: LocalAlerts, page: LocalPage
    ) -> None:
        while not self._stop.is_set():
            if not is_locked(folder := state.service.data_dir):
                gone = "was taken away, and the sessions that were kept there are gone"
                raise LocalError(f"{folder}: {gone}; start lgs up again for new ones")
            self._ended.reap(state)
            await workers.probe(session, [each for each in state.processes if each.phase == "starting"])
            await self._act(state)
            if time.monotonic() - state.decided_at >= ROUND_SECONDS:
                state.decided_at = time.monotonic()
                observation = await self._decide(state, session, page)
                service = state.service
                at, promised = observation.at, service.objectives
                for line in alerts.observe(service.name, service.alerts, observation, at, promised):
                    self._view.say(line)
                for line in state.budgets.changes(observation.samples, asked=state.usage != "no"):
                    self._view.say(line)
                page.observe(service, observation, state.decision, alerts.firing)
                page.targets = [each.target for each in state.processes if each.phase != "starting"]
                for process in state.processes:
                    self._ended.say_news(state, process)
            ready = [each for each in state.processes if each.phase == "ready"]
            if ready and not state.announced:
                state.announced = True
                self._ended.say_news(state, ready[0])
                self._view.say(f"{state.service.name} serves on {self._url}")
                self._view.say(f"its page: {self._page}")
            self._show(state, alerts.budget)
            await asyncio.sleep(TICK_SECONDS)

    def _show(self, state: State, more: str | None = None) -> None:
        there = [each for each in state.processes if each.handle.returncode is None]
        title = "  ".join([state.service.name, self._url, *([more] if more else [])])
        self._view.show(title, there, state.decision)

    async def _decide(self, state: State, session: aiohttp.ClientSession, page: LocalPage) -> Observation:
        ready = [each for each in state.processes if each.phase == "ready"]
        draining = [each for each in state.processes if each.phase == "draining"]
        due: Usage = "wanted" if page.is_due(time.time()) else "no"
        state.usage = "needed" if state.service.usage else due
        found = await workers.sample(session, [*ready, *draining], usage=state.usage)
        now = time.time()
        observation = Observation(
            at=now,
            samples=tuple(each for each in found if isinstance(each, ReplicaSample)),
            ready=len(ready),
            starting=sum(1 for each in state.processes if each.phase == "starting"),
            draining=len(draining),
            failed=sum(isinstance(each, NoSample) for each in found[: len(ready)]),
            example=first_without(found[: len(ready)]),
            starting_for=tuple(
                time.monotonic() - each.started_at for each in state.processes if each.phase == "starting"
            ),
            startup_seconds=typical_startup(
                [each.startup_seconds for each in reversed(ready) if each.startup_seconds is not None]
            ),
        )
        state.decision = decide(state.service.policy, observation, state.memory, now)
        state.memory = state.decision.memory
        if state.service.replicas is not None:
            state.decision = replace(
                state.decision, replicas=state.service.replicas, code="Steady", reason="set by the manifest"
            )
        self._write_history(state.decision, observation)
        return observation

    def _write_history(self, decision: Decision, observation: Observation) -> None:
        if self._options.history is None:
            return
        line = {
            "at": round(observation.at, 3),
            "wanted": decision.replicas,
            "ready": observation.ready,
            "starting": observation.starting,
            "draining": observation.draining,
            "queue": decision.queue,
            "p95": decision.p95,
            "code": decision.code,
            "reason": decision.reason,
            "inputs": decision.inputs,
        }
        try:
            with self._options.history.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            if not self._history_lost:
                self._view.say(f"--history: {self._options.history}: {error.strerror}: decisions are lost")
            self._history_lost = True

    async def _act(self, state: State) -> None:
        decided = state.decision.replicas if state.decision else state.service.policy.min_replicas
        situation = Situation(
            workers=tuple(each.worker for each in state.processes),
            wanted=state.service.replicas if state.service.replicas is not None else decided,
            generation=state.generation,
            can_work=state.can_work,
            not_before=state.not_before,
        )
        todo = plan(situation, time.monotonic())
        for process in state.processes:
            if process.name in todo.drain:
                workers.drain(process)
        for _ in range(todo.start):
            state.made += 1
            name = f"{state.service.name}-{state.made}"
            state.processes.append(
                await workers.start(state.service, name, state.generation, self._options.host, self._port)
            )
        if todo.start:
            remember(state.service.data_dir, [each.handle.pid for each in state.processes])

    def _let_go(self, state: State) -> None:
        """Tells workers that still run after a failure to drain, so that they do not block
        the next `lgs up`."""
        for process in state.processes:
            if process.handle.returncode is None:
                workers.drain(process)

    async def _drain(self, state: State) -> None:
        running = [each for each in state.processes if each.handle.returncode is None]
        if running:
            names = ", ".join(each.name for each in running)
            seconds = f"{state.service.drain_seconds:g} s"
            self._view.say(f"draining {names}, {seconds} at most; Ctrl-C again ends them at once")
        for process in running:
            if process.phase != "draining":
                workers.drain(process)
        late = time.monotonic() + state.service.drain_seconds + KILL_AFTER_SECONDS
        while any(each.handle.returncode is None for each in running):
            if self._hurry.is_set() or time.monotonic() > late:
                for process in running:
                    workers.kill(process)
            self._show(state)
            await asyncio.sleep(TICK_SECONDS / 2)
        remember(state.service.data_dir, [])
        self._view.say("all workers have ended; sessions are kept")
