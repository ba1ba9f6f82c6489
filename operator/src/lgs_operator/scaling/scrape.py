"""Asks one replica for its metrics. An answer that does not come, or is none, is None: never zero load."""

from __future__ import annotations

import time

import aiohttp
import structlog

from lgs_operator.scaling.exposition import NotOurMetrics, parse
from lgs_operator.scaling.samples import ReplicaSample

log = structlog.get_logger(__name__)


async def scrape(
    session: aiohttp.ClientSession, url: str, timeout: float, replica: str | None = None
) -> ReplicaSample | None:
    """The sample at `url` (`http://host:port/metrics`) within `timeout` seconds; `replica` names it (default:
    the url).
    """
    name = replica or url
    try:
        async with session.get(url, timeout=aiohttp.ClientTimeout(total=timeout)) as response:
            response.raise_for_status()
            return parse(await response.text(), name, time.time())
    except (aiohttp.ClientError, TimeoutError, NotOurMetrics, UnicodeDecodeError) as error:
        log.info("scrape_failed", replica=name, reason=str(error) or type(error).__name__)
        return None
