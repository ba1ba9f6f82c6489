"""Asks one replica for its metrics. A missing or unreadable answer is `NoSample`, never zero load."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal
from urllib.parse import urlencode

import aiohttp
import structlog

from lgs_operator.pod_answers import NoAnswer, TooLong, read_text
from lgs_operator.scaling.exposition import READ, USAGE, NotOurMetrics, parse
from lgs_operator.scaling.samples import NoSample, ReplicaSample

log = structlog.get_logger(__name__)
METRICS_PATH = f"/metrics?{urlencode([('name[]', name) for name in READ])}"
"""The part of a replica's page that is read here, without the metrics of its application."""
USAGE_PATH = f"/metrics?{urlencode([('name[]', name) for name in (*READ, *USAGE)])}"
"""The same with the series that only alerts and budgets need."""
Usage = Literal["no", "wanted", "needed"]
"""Whether a replica is asked for `USAGE_PATH`. If that is only wanted, and its page is too long or not ours,
it is asked again for `METRICS_PATH`: many series of an application must not hide its load."""
MOST_BYTES = 256 * 1024
"""The most bytes of a page. One of ours has about 12 KiB; longer ones cost time that other services need."""


async def ask(
    session: aiohttp.ClientSession, url: Callable[[str], str], timeout: float, replica: str, usage: Usage
) -> ReplicaSample | NoSample:
    """The sample of a replica, or why it gives none. `url` turns a path into its address (`http://host:port`
    and the path); each try has `timeout` seconds. A replica that hangs or is not there is tried only once."""
    try:
        return await _read(session, url(METRICS_PATH if usage == "no" else USAGE_PATH), timeout, replica)
    except (TooLong, NotOurMetrics) as error:
        if usage != "wanted":
            return _noted(replica, error)
        _noted(replica, error)
    except NoAnswer as error:
        return _noted(replica, error)
    try:
        return await _read(session, url(METRICS_PATH), timeout, replica)
    except (NoAnswer, NotOurMetrics) as error:
        return _noted(replica, error)


async def _read(session: aiohttp.ClientSession, url: str, timeout: float, replica: str) -> ReplicaSample:
    page = await read_text(session, url, seconds=timeout, most_bytes=MOST_BYTES)
    return parse(page, replica, time.time())


def _noted(replica: str, error: Exception) -> NoSample:
    log.info("scrape_failed", replica=replica, reason=str(error))
    return NoSample(replica, str(error))
