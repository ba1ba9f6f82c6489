"""Asks one replica for its metrics. An answer that does not come, or is none, is None: never zero load."""

from __future__ import annotations

import time
from urllib.parse import urlencode

import aiohttp
import structlog

from lgs_operator.pod_answers import NoAnswer, read_text
from lgs_operator.scaling.exposition import READ, USAGE, NotOurMetrics, parse
from lgs_operator.scaling.samples import ReplicaSample

log = structlog.get_logger(__name__)
METRICS_PATH = f"/metrics?{urlencode([('name[]', name) for name in READ])}"
"""Of a replica's page what is read of it here, and not what its application counts by itself."""
USAGE_PATH = f"/metrics?{urlencode([('name[]', name) for name in (*READ, *USAGE)])}"
"""The same with what alerts may be about beside it."""
MOST_BYTES = 256 * 1024
"""A page of ours has about 12 KiB; what is longer costs time that other services need."""


async def scrape(
    session: aiohttp.ClientSession, url: str, timeout: float, replica: str | None = None
) -> ReplicaSample | None:
    """The sample at `url` (`http://host:port` and `METRICS_PATH`) within `timeout` seconds; `replica` names
    it (default: the url).
    """
    name = replica or url
    try:
        page = await read_text(session, url, seconds=timeout, most_bytes=MOST_BYTES)
        return parse(page, name, time.time())
    except (NoAnswer, NotOurMetrics) as error:
        log.info("scrape_failed", replica=name, reason=str(error))
        return None
