"""What the tests of the page share."""

from __future__ import annotations

from collections.abc import Iterator

import aiohttp
import pytest

from support.browser import Browser, browser, needed
from support.ports import PATIENCE_SECONDS


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine that stands still for a while requests come late, and answers too."""
    patience = aiohttp.ClientTimeout(PATIENCE_SECONDS)
    monkeypatch.setattr("lgs_operator.dashboard.admission._PATIENCE", patience)
    monkeypatch.setattr("lgs_operator.dashboard.cluster._PATIENCE", patience)
    monkeypatch.setattr("lgs_operator.dashboard.places.ASKING_SECONDS", PATIENCE_SECONDS)
    monkeypatch.setattr("lgs_operator.dashboard.service_ways._RESOLVING_SECONDS", PATIENCE_SECONDS)


@pytest.fixture(scope="module")
def window() -> Iterator[Browser]:
    """A browser with a profile of its own."""
    needed()
    with browser() as it:
        yield it
