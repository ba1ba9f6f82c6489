"""A process of its own for each test, as far as circuits are concerned."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lgs_runtime.breaker.registry import CIRCUITS


@pytest.fixture(autouse=True)
def no_circuits() -> Iterator[None]:
    CIRCUITS.clear()
    yield
    CIRCUITS.clear()
