"""Asks one replica for its metrics. An answer that does not come, or is none, is None: never zero load."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal
from urllib.parse import urlencode

import aiohttp
import structlog

from lgs_operator.pod_answers import NoAnswer, TooLong, read_text
from lgs_operator.scaling.exposition import READ, USAGE, NotOurMetrics, parse
from lgs_operator.scaling.samples import ReplicaSample

log = structlog.get_logger(__name__)
METRICS_PATH = f"/metrics?{urlencode([('name[]', name) for name in READ])}"
"""Of a replica's page what is read of it here, and not what its application counts by itself."""
USAGE_PATH = f"/metrics?{urlencode([('name[]', name) for name in (*READ, *USAGE)])}"
"""The same with what alerts may be about beside it."""
Usage = Literal["no", "wanted", "needed"]
"""Whether a replica is asked for what stands in `USAGE_PATH`. Where that is only wanted, one whose page
with it is too long is asked for the one without: many series of an application must not hide its load."""
MOST_BYTES = 256 * 1024
"""A page of ours has about 12 KiB; what is longer costs time that other services need."""


async def ask(
    session: aiohttp.ClientSession, url: Callable[[str], str], timeout: float, replica: str, usage: Usage
) -> ReplicaSample | None:
    """The sample of a replica whose address with a path `url` gives; `timeout` seconds for each try. One that
    hangs, or is not there, is tried once."""
    if usage != "wanted":
        return await scrape(session, url(METRICS_PATH if usage == "no" else USAGE_PATH), timeout, replica)
    try:
        return await _read(session, url(USAGE_PATH), timeout, replica)
    except (TooLong, NotOurMetrics) as error:
        _note(replica, error)
        return await scrape(session, url(METRICS_PATH), timeout, replica)
    except NoAnswer as error:
        _note(replica, error)
        return None


async def scrape(
    session: aiohttp.ClientSession, url: str, timeout: float, replica: str | None = None
) -> ReplicaSample | None:
    """The sample at `url` (`http://host:port` and `METRICS_PATH`) within `timeout` seconds; `replica` names
    it (default: the url).
    """
    name = replica or url
    try:
        return await _read(session, url, timeout, name)
    except (NoAnswer, NotOurMetrics) as error:
        _note(name, error)
        return None


async def _read(session: aiohttp.ClientSession, url: str, timeout: float, replica: str) -> ReplicaSample:
    page = await read_text(session, url, seconds=timeout, most_bytes=MOST_BYTES)
    return parse(page, replica, time.time())


def _note(replica: str, error: Exception) -> None:
    log.info("scrape_failed", replica=replica, reason=str(error))
