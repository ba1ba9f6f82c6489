"""Adds the metrics that an application keeps with `prometheus_client` to the `/metrics` page of its replica.

They are read from the client's default registry. None of them may spoil the page that the autoscaler reads:
they are collected in a separate thread, with limits on time and size, and each family is written separately.
Names that begin with `lgs_` are reserved for the server.
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
"""How long an application's collectors may take for one page."""
MOST_BYTES: Final = 4 * 1024 * 1024
"""Largest size of all of an application's metrics on one page."""
OURS: Final = "lgs_"
OF_THE_PROCESS: Final = ("process_", "python_")
"""Prefixes that are left out: the default registry has these metrics, but so has the page already."""
ALL: Final = "all"
MOST_SAID: Final = 100
END: Final = b"# EOF\n"
"""Last line of an OpenMetrics page."""
Write = Callable[[Collector], bytes]


@dataclass(frozen=True, slots=True)
class Written:
    """Result of one collection: the text of the families that could be written, and for each of the others
    its name and the reason why it was left out."""

    text: bytes = b""
    left_out: tuple[tuple[str, str], ...] = ()


class ApplicationMetrics:
    """The metrics of the application code in this process; `registry` is where that code keeps them."""

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
        """The families as `write` formats them, without the end of a page; limited to the series in `names`
        if there are any. Empty when they are not collected in time, or when an earlier collection has not
        ended yet. Never raises."""
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

        # Not a thread of the executor: those are for nodes, and one that hangs would keep the process alive.
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
        """Counts the omission each time, and logs it once for each name."""
        self.errors.inc()
        if name not in self._said and len(self._said) < MOST_SAID:
            self._said.add(name)
            log.warning("application_metrics.left_out", metric=name, reason=why)


def _give(to: asyncio.Future[Written], found: Written) -> None:
    if not to.done():
        to.set_result(found)


def written_of(registry: Collector, write: Write) -> Written:
    """The families of the registry, each written separately. A collector that raises ends the collection;
    the families before it are kept."""
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
    """The reason why a family is not shown; None if it is."""
    if family.name.startswith(OURS):
        return f"names that begin with {OURS} are the server's"
    if family.name in written:
        return "there is another of this name"
    if any(not each.name.startswith(family.name) for each in family.samples):
        return "one of its samples has another name"
    return None


class _Alone(Collector):
    """A collector of a single family."""

    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterable[Metric]:
        """The family."""
        return [self._family]
