"""What an application counts by itself is on its replica's page, and can't spoil it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parsed_as_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parsed
from prometheus_client.registry import Collector
from structlog.testing import capture_logs

from lgs_runtime import application_metrics
from lgs_runtime.application_metrics import MOST_BYTES, ApplicationMetrics, written_of
from lgs_runtime.metrics import Metrics
from support.ports import PATIENCE_SECONDS


class Made(Collector):
    """Collects what it is given."""

    def __init__(self, *families: Metric) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


class Raises(Collector):
    def collect(self) -> Iterable[Metric]:
        raise OSError("the database of the shop is away")


class Hangs(Collector):
    """Until it is let go."""

    def __init__(self) -> None:
        self.entered, self.released = threading.Event(), threading.Event()

    def collect(self) -> Iterable[Metric]:
        self.entered.set()
        self.released.wait()
        return []


@pytest.fixture
def hangs() -> Iterator[Hangs]:
    collector = Hangs()
    yield collector
    collector.released.set()


def registry_of(*collectors: Collector) -> CollectorRegistry:
    registry = CollectorRegistry()
    for each in collectors:
        registry.register(each)
    return registry


def page_of(registry: CollectorRegistry) -> Metrics:
    metrics = Metrics(1)
    metrics._application._registry = registry
    return metrics


async def test_counters_gauges_and_histograms_of_an_application_are_on_the_page() -> None:
    registry = CollectorRegistry()
    Counter("orders", "Taken.", ["shop"], registry=registry).labels("north").inc(3)
    Gauge("open_tills", "Now.", registry=registry).set(2)
    Histogram("basket_euros", "Each.", registry=registry).observe(7)

    page = (await page_of(registry).render()).decode()

    values = {(each.name, *each.labels.values()): each.value for f in parsed(page) for each in f.samples}
    assert values["orders_total", "north"] == 3
    assert values["open_tills",] == 2
    assert values["basket_euros_sum",] == 7
    assert values["lgs_slots",] == 1


async def test_openmetrics_ends_once_and_after_all() -> None:
    registry = CollectorRegistry()
    Counter("orders", "Taken.", registry=registry).inc(3, {"trace_id": "a1"})

    page = await page_of(registry).render(openmetrics.generate_latest)

    families = {each.name: each for each in parsed_as_openmetrics(page.decode())}
    assert families["orders"].samples[0].exemplar.labels == {"trace_id": "a1"}
    assert page.count(b"# EOF") == 1


async def test_who_names_series_gets_those_alone_ours_and_the_applications() -> None:
    registry = CollectorRegistry()
    Counter("orders", "Taken.", registry=registry).inc()
    Counter("returns", "Brought back.", registry=registry).inc()
    metrics = page_of(registry)

    ours = await metrics.render(names=["lgs_slots"])
    both = await metrics.render(names=["lgs_slots", "orders_total"])

    def lines(page: bytes) -> list[str]:
        return [line for line in page.decode().splitlines() if not line.startswith("#")]

    assert lines(ours) == ["lgs_slots 1.0"]
    assert sorted(lines(both)) == ["lgs_slots 1.0", "orders_total 1.0"]


async def test_who_names_our_series_alone_waits_for_no_collector_of_the_application(hangs: Hangs) -> None:
    await page_of(registry_of(hangs)).render(names=["lgs_slots", "process_start_time_seconds"])

    assert not hangs.entered.is_set()


def test_names_of_the_server_stay_its_own_and_those_of_the_process_are_shown_once() -> None:
    registry = CollectorRegistry()
    Gauge("lgs_slots", "Mine.", registry=registry).set(1000)
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)

    found = written_of(registry, generate_latest)

    assert found.text == b""
    assert [name for name, _ in found.left_out] == ["lgs_slots"]


def of_another_name() -> Metric:
    family = Metric("orders", "Taken.", "gauge")
    family.add_sample("lgs_slots", {}, 1000)
    return family


def of_a_text() -> Metric:
    family = GaugeMetricFamily("orders", "Taken.")
    family.add_metric([], "many")  # type: ignore[arg-type]
    return family


def of_a_label_that_is_no_text() -> Metric:
    family = Metric("orders", "Taken.", "gauge")
    family.add_sample("orders", {"shop": object()}, 1)  # type: ignore[dict-item]
    return family


@pytest.mark.parametrize("odd", [of_another_name, of_a_text, of_a_label_that_is_no_text])
def test_a_family_that_cant_be_written_is_left_out_and_the_others_are_not(odd: Any) -> None:
    tills = GaugeMetricFamily("open_tills", "Now.", value=2)

    found = written_of(registry_of(Made(odd()), Made(tills)), generate_latest)

    assert b"open_tills 2.0" in found.text
    assert [name for name, _ in found.left_out] == ["orders"]


def test_the_second_family_of_a_name_is_left_out() -> None:
    same = [GaugeMetricFamily("open_tills", "Now.", value=number) for number in (1, 2)]

    found = written_of(registry_of(Made(*same)), generate_latest)

    assert found.text.count(b"open_tills 1.0") == 1
    assert found.left_out == (("open_tills", "there is another of this name"),)


def test_more_than_a_page_holds_is_left_out_whole() -> None:
    many = GaugeMetricFamily("baskets", "One each.", labels=["id"])
    for number in range(MOST_BYTES // 20):
        many.add_metric([str(number)], 1)

    found = written_of(registry_of(Made(many)), generate_latest)

    assert found.text == b""
    assert f"a page has at most {MOST_BYTES}" in found.left_out[0][1]


async def test_a_collector_that_raises_is_counted_each_time_and_logged_once() -> None:
    metrics = page_of(registry_of(Raises()))

    with capture_logs() as logs:
        await metrics.render()
        page = await metrics.render()

    assert b"lgs_application_metrics_errors_total 2.0" in page
    assert [each["reason"] for each in logs if each["event"].startswith("application_metrics.")] == [
        "a collector raised OSError: the database of the shop is away"
    ]


async def test_a_collector_that_hangs_keeps_no_page_and_no_second_thread(
    hangs: Hangs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(application_metrics, "SECONDS", 0.05)
    application = ApplicationMetrics(registry_of(hangs))

    first = await application.text(generate_latest)
    thread = application._at_work
    second = await application.text(generate_latest)

    assert await asyncio.to_thread(hangs.entered.wait, PATIENCE_SECONDS)
    assert first == second == b""
    assert thread is not None
    assert application._at_work is thread
    hangs.released.set()
    await asyncio.to_thread(thread.join)
    monkeypatch.setattr(application_metrics, "SECONDS", PATIENCE_SECONDS)
    assert await application.text(generate_latest) == b""
    assert application.errors._value.get() == 2
