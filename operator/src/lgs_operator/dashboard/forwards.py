"""Connections from this machine to what runs in a cluster: `kubectl port-forward`, one process for each
place, started when it is first needed and again when it has ended.

kubectl uses the user's kubeconfig, with its authentication plugins, and their rights: the API server refuses
users who may not forward ports.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple

from lgs_operator.dashboard.cached import Cached
from lgs_operator.dashboard.ways import Unreachable, Way
from lgs_operator.naming import RUNTIME_PORT

HISTORY_PORT: Final = 8081
"""The port for the history of an operator that the chart installs."""
_OPERATORS_SECONDS: Final = 10.0
_FORWARDS: Final = re.compile(rb"Forwarding from 127\.0\.0\.1:(\d+) ->")
PATIENCE_SECONDS: Final = 15.0
PAUSE_SECONDS: Final = 3.0
"""Seconds after a failure in which it is not tried again: everyone who waited gets the same error."""


class Place(NamedTuple):
    """What to forward: `what` as kubectl names it (`service/support`), and its port."""

    namespace: str
    what: str
    port: int


class NotForwarded(Unreachable):
    """A place can't be reached; the message says why, in kubectl's words."""


@dataclass
class _Forward:
    process: asyncio.subprocess.Process
    url: str
    drains: list[asyncio.Task[None]]


class Forwards:
    """All forwards of one command. End them with `close`."""

    def __init__(self, command: tuple[str, ...] = ("kubectl",)) -> None:
        self._command = command
        self._begun: dict[Place, _Forward] = {}
        self._uids: dict[Place, str] = {}
        self._locks: dict[Place, asyncio.Lock] = {}
        self._failed: dict[Place, tuple[float, str]] = {}

    @property
    def processes(self) -> tuple[asyncio.subprocess.Process, ...]:
        """The last process started for each place."""
        return tuple(each.process for each in self._begun.values())

    async def url(self, place: Place, uid: str = "") -> str:
        """The address of a place, `http://127.0.0.1:port`. If its `uid` has changed since the forward was
        made, a new one is made. Raises `NotForwarded`."""
        async with self._locks.setdefault(place, asyncio.Lock()):
            found = self._begun.get(place)
            if found is not None and self._uids.get(place) != uid:
                await _ended(found.process)
            if found is not None and found.process.returncode is None:
                return found.url
            self._uids[place] = uid
            failed_at, why = self._failed.get(place, (-PAUSE_SECONDS, ""))
            if why and time.monotonic() - failed_at < PAUSE_SECONDS:
                raise NotForwarded(why)
            try:
                self._begun[place] = await self._begin(place)
            except NotForwarded as error:
                self._failed[place] = (time.monotonic(), str(error))
                raise
            return self._begun[place].url

    async def close(self) -> None:
        """Ends all forwards."""
        await asyncio.gather(*(_ended(each) for each in self.processes))
        self._begun.clear()

    async def _begin(self, place: Place) -> _Forward:
        flags = ("port-forward", "--namespace", place.namespace, "--address", "127.0.0.1", place.what)
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                *flags,
                f":{place.port}",
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                # Ctrl-C in the terminal is for the command only, which then ends these.
                start_new_session=True,
            )
        except OSError as error:
            raise NotForwarded(
                f"{self._command[0]}: {error.strerror}: it makes the way to the cluster"
            ) from None
        try:
            return await _leading(process, place)
        except BaseException:
            # also if the caller was cancelled meanwhile: nobody else knows the process
            await _ended(process)
            raise


class ForwardedWays:
    """See `Ways`. `operators_of` reads the namespace and name of each pod of an operator."""

    def __init__(
        self, operators_of: Callable[[], Awaitable[Sequence[tuple[str, str]]]], forwards: Forwards
    ) -> None:
        self._operators_of = Cached(operators_of, _OPERATORS_SECONDS)
        self._forwards = forwards

    async def to_operators(self) -> Sequence[Callable[[], Awaitable[Way]]]:
        """See `Ways`."""
        return [partial(self._to_pod, *each) for each in await self._operators_of()]

    async def to_service(self, namespace: str, name: str, uid: str) -> str:
        """See `Ways`."""
        return await self._forwards.url(Place(namespace, f"service/{name}", RUNTIME_PORT), uid)

    async def _to_pod(self, namespace: str, name: str) -> Way:
        return Way(await self._forwards.url(Place(namespace, f"pod/{name}", HISTORY_PORT)))


async def _leading(process: asyncio.subprocess.Process, place: Place) -> _Forward:
    """The forward of a process, once it has printed where it listens. Raises `NotForwarded`."""
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            line = await process.stdout.readline()
    except TimeoutError:
        raise NotForwarded(f"{place.what}: no way to it within {PATIENCE_SECONDS:g} s") from None
    found = _FORWARDS.match(line)
    if found is None:
        raise NotForwarded(await _why(process, place))
    drains = [asyncio.create_task(_drained(each)) for each in (process.stdout, process.stderr)]
    return _Forward(process, f"http://127.0.0.1:{int(found[1])}", drains)


async def _drained(stream: asyncio.StreamReader | None) -> None:
    """Reads and drops what kubectl prints for each connection, so that it does not fill the pipe."""
    while stream is not None and await stream.read(65_536):
        pass


async def _why(process: asyncio.subprocess.Process, place: Place) -> str:
    await _ended(process)
    assert process.stderr is not None
    said = (await process.stderr.read()).decode(errors="replace").strip()
    return " ".join(said.split()) or f"{place.what}: kubectl port-forward ended"


async def _ended(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(5):
            await process.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
