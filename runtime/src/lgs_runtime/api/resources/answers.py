"""Answers that take as long as a run: its result, and its events."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from contextlib import aclosing
from functools import partial

from fastapi import Response

from lgs_runtime.api.http.long_poll import LongPollResponse
from lgs_runtime.api.http.sse import encode_event, event_stream
from lgs_runtime.api.resources.requests import naming
from lgs_runtime.model import Run, unrooted
from lgs_runtime.runs.following import cancel_quietly, events, result, result_of
from lgs_runtime.runs.thread_stream import thread_events
from lgs_runtime.services import Services
from lgs_runtime.streams.events import FROM_START, StreamEvent
from lgs_runtime.streams.json_encoding import encode


def answer_result(services: Services, run: Run, *, cancel_on_disconnect: bool = False) -> Response:
    """Answers with the result of a run when it has ended."""

    async def find() -> bytes:
        return encode(unrooted(await result(services, run)))

    return LongPollResponse(find, naming(run, "join"), _gone(services, run, cancel_on_disconnect))


def answer_cancelled(services: Services, run: Run) -> Response:
    """Answers with the result of a cancelled run when it has stopped; with `{}` if it was rolled back."""

    async def find() -> bytes:
        ended = await services.notifier.finished(run.run_id, run.thread_id)
        return encode({} if ended is None else unrooted(await result_of(services, ended)))

    return LongPollResponse(find, naming(run, "join"))


def answer_events(
    services: Services,
    run: Run,
    *,
    after: str | None = FROM_START,
    modes: Collection[str] | None = None,
    cancel_on_disconnect: bool = False,
) -> Response:
    """Streams the events of a run later than the id `after`, until it has ended."""
    source = _encoded(events(services, run, after, modes))
    return event_stream(source, naming(run, "stream", modes), _gone(services, run, cancel_on_disconnect))


def answer_thread_events(
    services: Services, thread_id: str, after: str | None, modes: Collection[str]
) -> Response:
    """Streams the events of a thread later than the id `after`, for as long as the client listens."""
    return event_stream(_encoded(thread_events(services, thread_id, after, modes)), {})


async def _encoded(source: AsyncGenerator[Sequence[StreamEvent], None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(source) as found:
        async for together in found:
            yield b"".join(map(encode_event, together))


def _gone(services: Services, run: Run, cancel: bool) -> Callable[[], Awaitable[None]] | None:
    return partial(cancel_quietly, services, run) if cancel else None
