"""A real S3 server on a free port of 127.0.0.1: Versity's gateway, which checks signatures and checksums,
over a folder. `tools/setup/s3.sh` builds it."""

from __future__ import annotations

import os
import shutil
import signal
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from support.server_program import ServerProgram

BUCKET = "sessions"
ACCESS_KEY, SECRET_KEY = "reader", "a-secret-of-the-tests"


def gateway() -> str | None:
    """Path of the program, or None."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    built = cache / "lgs-toolchain" / "bin" / "versitygw"
    return str(built) if built.exists() else shutil.which("versitygw")


class S3Server(ServerProgram):
    """One server with one empty bucket."""

    name = "S3"
    stop_by = signal.SIGTERM

    def __init__(self) -> None:
        found = gateway()
        if found is None:
            raise RuntimeError("versitygw not found: run tools/setup/s3.sh")
        self._binary = found
        super().__init__()
        self.url = f"http://127.0.0.1:{self.port}"
        (self.folder / "data" / BUCKET).mkdir(parents=True)

    @property
    def variables(self) -> dict[str, str]:
        """What a client is answered about it."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        }

    def names(self) -> list[str]:
        """All objects, as a client of its own sees them."""
        import obstore  # noqa: PLC0415 - an extra: what stands beside it is tested without it, too
        from obstore.store import S3Store  # noqa: PLC0415

        store = S3Store(
            BUCKET,
            endpoint=self.url,
            region="us-east-1",
            access_key_id=ACCESS_KEY,
            secret_access_key=SECRET_KEY,
            client_options={"allow_http": True},
        )
        return sorted(str(each["path"]) for page in obstore.list(store) for each in page)

    def _command(self) -> Sequence[str]:
        keys = ["--access", ACCESS_KEY, "--secret", SECRET_KEY]
        return [self._binary, *keys, "--port", f"127.0.0.1:{self.port}", "posix", str(self.folder / "data")]

    def _answers(self) -> bool:
        try:
            urllib.request.urlopen(self.url, timeout=2)
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
        return True
