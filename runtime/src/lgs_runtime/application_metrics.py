"""What an application counts by itself with `prometheus_client`, for the page of the replica that it runs in.

Its metrics are those of the client's default registry. None of them may spoil the page that the autoscaler
reads: they are collected in a thread of their own, within a time and up to a size, and each family is written
for itself. Names that begin with `lgs_` are the server's.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Collection, Container, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import structlog
from prometheus_client import REGISTRY, CollectorRegistry, Counter
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from lgs_runtime.series import Named

log = structlog.get_logger(__name__)
SECONDS: Final = 1.0
"""An application's collectors have so long for a page."""
MOST_BYTES: Final = 4 * 1024 * 1024
"""Of all of an application's metrics on one page."""
OURS: Final = "lgs_"
OF_THE_PROCESS: Final = ("process_", "python_")
"""The client's default registry has these, and so has the page already."""
ALL: Final = "all"
MOST_SAID: Final = 100
END: Final = b"# EOF\n"
"""Of a page of OpenMetrics."""
Write = Callable[[Collector], bytes]


@dataclass(frozen=True, slots=True)
class Written:
    """What came of one collection: the text of the families that could be written, and what is said of the
    others, by name."""

    text: bytes = b""
    left_out: tuple[tuple[str, str], ...] = ()


class ApplicationMetrics:
    """The metrics of the code that runs in this process; `registry` is where it keeps them."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._registry = registry
        self._said: set[str] = set()
        self._at_work: threading.Thread | None = None
        self.errors = Counter(
            "lgs_application_metrics_errors",
            "Metrics of the application, or all of them, that a page lacks.",
            registry=None,
        )

    async def text(self, write: Write, names: Collection[str] = ()) -> bytes:
        """The families as `write` shows them, without what ends a page; of the series in `names` where there
        are any. Empty when they are not collected in time, or an earlier collection has not ended yet. Never
        raises."""
        if names and all(name.startswith((OURS, *OF_THE_PROCESS)) for name in names):
            return b""
        if self._at_work is not None and self._at_work.is_alive():
            self._say(ALL, f"their collection has not ended after {SECONDS:g} s")
            return b""
        loop = asyncio.get_running_loop()
        written: asyncio.Future[Written] = loop.create_future()

        wanted = Named(self._registry, names) if names else self._registry

        def collect() -> None:
            found = written_of(wanted, write)
            with suppress(RuntimeError):  # the replica has stopped meanwhile
                loop.call_soon_threadsafe(_give, written, found)

        # Not one of the executor's: those are the nodes', and one that hangs would keep the process alive.
        self._at_work = threading.Thread(target=collect, name="application-metrics", daemon=True)
        self._at_work.start()
        try:
            async with asyncio.timeout(SECONDS):
                found = await written
        except TimeoutError:
            self._say(ALL, f"they are not collected within {SECONDS:g} s")
            return b""
        for name, why in found.left_out:
            self._say(name, why)
        return found.text

    def _say(self, name: str, why: str) -> None:
        """Counted each time, logged once."""
        self.errors.inc()
        if name not in self._said and len(self._said) < MOST_SAID:
            self._said.add(name)
            log.warning("application_metrics.left_out", metric=name, reason=why)


def _give(to: asyncio.Future[Written], found: Written) -> None:
    if not to.done():
        to.set_result(found)


def written_of(registry: Collector, write: Write) -> Written:
    """The families of the registry, each written for itself. A collector that raises ends the collection:
    what came before it is kept."""
    texts: dict[str, bytes] = {}
    left_out: list[tuple[str, str]] = []
    try:
        for family in registry.collect():
            if family.name.startswith(OF_THE_PROCESS):
                continue
            if (why := _refusal(family, texts)) is not None:
                left_out.append((family.name, why))
                continue
            try:
                texts[family.name] = write(_Alone(family)).removesuffix(END)
            except Exception as odd:  # noqa: BLE001 - whatever the application's values raise
                left_out.append((family.name, f"it can't be written: {type(odd).__name__}: {odd}"))
    except Exception as failed:  # noqa: BLE001 - whatever a collector of the application raises
        left_out.append((ALL, f"a collector raised {type(failed).__name__}: {failed}"))
    text = b"".join(texts.values())
    if len(text) > MOST_BYTES:
        return Written(b"", ((ALL, f"they have {len(text)} bytes; a page has at most {MOST_BYTES} of them"),))
    return Written(text, tuple(left_out))


def _refusal(family: Metric, written: Container[str]) -> str | None:
    """Why a family is not shown, or None."""
    if family.name.startswith(OURS):
        return f"names that begin with {OURS} are the server's"
    if family.name in written:
        return "there is another of this name"
    if any(not each.name.startswith(family.name) for each in family.samples):
        return "one of its samples has another name"
    return None


class _Alone(Collector):
    """One family."""

    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterable[Metric]:
        """The family."""
        return [self._family]
