"""What the tests of the page share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.browser import Browser, browser, needed


@pytest.fixture(scope="module")
def window() -> Iterator[Browser]:
    """A browser with a profile of its own."""
    needed()
    with browser() as it:
        yield it
