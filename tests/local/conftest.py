"""What a command of `lgs` that is run in the process of the tests leaves for the others."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.as_before import logged_as_before


@pytest.fixture(autouse=True)
def as_logged_before() -> Iterator[None]:
    """`lgs up` logs warnings alone."""
    with logged_as_before():
        yield
