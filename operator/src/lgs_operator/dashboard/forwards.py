"""Ways from this machine to what runs in a cluster: `kubectl port-forward`, one process for each place, begun
when it is asked for first and again when it has ended.

kubectl has the person's kubeconfig, plugins for signing in among it, and their rights: who may not forward
ports is told so by the API server.
"""

from __future__ import annotations

import asyncio
import re
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, NamedTuple

_FORWARDS: Final = re.compile(rb"Forwarding from 127\.0\.0\.1:(\d+) ->")
PATIENCE_SECONDS: Final = 15.0
PAUSE_SECONDS: Final = 3.0
"""In which nobody tries again what has just failed: who waited for it is told the same."""


class Place(NamedTuple):
    """What is forwarded: `what` as kubectl names it (`service/support`), and the port there."""

    namespace: str
    what: str
    port: int


class NotForwarded(Exception):
    """There is no way to a place; says why, in kubectl's words."""


@dataclass
class _Forward:
    process: asyncio.subprocess.Process
    url: str
    drains: list[asyncio.Task[None]]


class Forwards:
    """All of one command. Close it with `close`."""

    def __init__(self, command: tuple[str, ...] = ("kubectl",)) -> None:
        self._command = command
        self._begun: dict[Place, _Forward] = {}
        self._uids: dict[Place, str] = {}
        self._locks: dict[Place, asyncio.Lock] = {}
        self._failed: dict[Place, tuple[float, str]] = {}

    @property
    def processes(self) -> tuple[asyncio.subprocess.Process, ...]:
        """Those that were begun last."""
        return tuple(each.process for each in self._begun.values())

    async def url(self, place: Place, uid: str = "") -> str:
        """Where it is asked, `http://127.0.0.1:port`. What is there under another `uid` now than when the way
        was made has a way of its own. Raises `NotForwarded`."""
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
        """Ends all of them."""
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
                # Ctrl-C in the terminal is for the command alone, which then ends these.
                start_new_session=True,
            )
        except OSError as error:
            raise NotForwarded(
                f"{self._command[0]}: {error.strerror}: it makes the way to the cluster"
            ) from None
        try:
            return await _leading(process, place)
        except BaseException:
            # also where who asked has gone meanwhile: nobody else knows of it
            await _ended(process)
            raise


async def _leading(process: asyncio.subprocess.Process, place: Place) -> _Forward:
    """A process that says where it listens. Raises `NotForwarded`."""
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
    """What kubectl says of each connection is nobody's to read, and must not fill its pipe."""
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
