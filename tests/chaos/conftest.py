"""One field for all crash tests of a run; each fault is mended by the test that made it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.field import FLEET, Field, open_field

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole fleets are started here, some again and again; each wait has a limit of its own."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.timeout(1200))


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    """Three replicas on PostgreSQL and Redis. A fleet that a test has thinned is full again for the next."""
    with open_field(tmp_path_factory.mktemp("field"), LGS_MAX_ATTEMPTS="10") as opened:
        yield opened


@pytest.fixture(autouse=True)
def full_fleet(request: pytest.FixtureRequest) -> None:
    """Replicas that earlier tests have ended are replaced."""
    if "field" in request.fixturenames:
        field: Field = request.getfixturevalue("field")
        field.fleet.start(FLEET - len(field.fleet.replicas))
        field.fleet.wait_ready()
