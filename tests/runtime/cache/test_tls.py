"""Redis by TLS: one server, a Cluster and a set behind Sentinel, whose certificate an authority of the
organisation's own has signed."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
import redis

from lgs_runtime.cache.found import Life
from lgs_runtime.cache.manager import CacheManager
from support.ports import PATIENCE_SECONDS, free_port, wait_until
from support.redis import RedisServer
from support.servers import running
from support.waiting import until

NewCache = Callable[..., CacheManager]


class TlsRedis(RedisServer):
    """A server, or a sentinel, that is reached by TLS alone. `folder` has its key and certificate."""

    def __init__(self, secrets: Path, *options: str, watches: RedisServer | None = None) -> None:
        super().__init__()
        self._secrets, self._options = secrets, options
        if watches is not None:
            lines = [each.removeprefix("--") for each in self._tls()]
            pairs = [f"{name} {value}" for name, value in zip(lines[::2], lines[1::2], strict=True)]
            watched = f"sentinel monitor main 127.0.0.1 {watches.port} 1"
            (self.folder / "sentinel.conf").write_text(
                "\n".join(["bind 127.0.0.1", f"dir {self.folder}", *pairs, watched, ""])
            )

    def client(self) -> redis.Redis:
        """Of the server itself."""
        return redis.Redis(
            "127.0.0.1",
            port=self.port,
            ssl=True,
            ssl_ca_certs=str(self._secrets / "made.pem"),
            socket_timeout=PATIENCE_SECONDS,
        )

    def _tls(self) -> Sequence[str]:
        made, key = str(self._secrets / "made.pem"), str(self._secrets / "key.pem")
        files = ["--tls-cert-file", made, "--tls-key-file", key, "--tls-ca-cert-file", made]
        switches = ["--tls-auth-clients", "no", "--tls-replication", "yes", "--tls-cluster", "yes"]
        return ["--port", "0", "--tls-port", str(self.port), *files, *switches]

    def _command(self) -> Sequence[str]:
        if (self.folder / "sentinel.conf").exists():
            return [self._binary, str(self.folder / "sentinel.conf"), "--sentinel"]
        return [*super()._command(), *self._tls(), *self._options]

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError):
            return False


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a key, and a certificate that signs itself."""
    folder = tmp_path_factory.mktemp("tls")
    kind = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    names = ("-subj", "/CN=redis", "-addext", "subjectAltName=IP:127.0.0.1")
    files = ("-keyout", str(folder / "key.pem"), "-out", str(folder / "made.pem"))
    subprocess.run(("openssl", "req", "-x509", *kind, *names, *files), check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def uris(secrets: Path) -> Iterator[Mapping[str, str]]:
    with ExitStack() as stack:
        server = stack.enter_context(running(TlsRedis(secrets)))
        sentinel = stack.enter_context(running(TlsRedis(secrets, watches=server)))
        bus = ("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
        node = stack.enter_context(running(TlsRedis(secrets, *bus)))
        with node.client() as client:
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            told = partial(client.execute_command, "CLUSTER INFO")
            wait_until(lambda: told()["cluster_state"] == "ok", "it has all slots")
        yield {
            "server": f"rediss://127.0.0.1:{server.port}/0",
            "sentinel": f"rediss+sentinel://127.0.0.1:{sentinel.port}/main",
            "cluster": f"rediss+cluster://127.0.0.1:{node.port}",
        }


@pytest.mark.parametrize("kind", ["server", "sentinel", "cluster"])
async def test_by_tls_replicas_share_where_the_authority_is_known_and_nothing_where_it_is_not(
    new_cache: NewCache, uris: Mapping[str, str], secrets: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger = new_cache(uris[kind], kind)
    place = stranger.place("function", "key")
    await stranger.write([(place, "value", Life(60.0))])
    assert stranger.redis == "away"

    monkeypatch.setenv("SSL_CERT_FILE", str(secrets / "made.pem"))
    one, two = new_cache(uris[kind], kind), new_cache(uris[kind], kind)
    assert await two.read([place]) == {}

    async def shared() -> bool:
        await one.write([(place, "value", Life(60.0))])
        return place in await two.read([place])

    await until(shared)
