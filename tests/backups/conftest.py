"""The S3 server of the tests of backups, started once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.s3 import S3Server, gateway
from support.servers import running


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    pytest.importorskip("obstore")
    if gateway() is None:
        pytest.skip("no S3 server here: tools/setup/s3.sh builds one")
    with running(S3Server()) as server:
        yield server
