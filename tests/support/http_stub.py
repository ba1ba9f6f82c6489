"""A service of somebody else as a small HTTP server on loopback."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class QuietHandler(BaseHTTPRequestHandler):
    """One request, of which nothing is logged: a test says what it saw."""

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


class _Server(ThreadingHTTPServer):
    """A server that keeps more than five waiting, whom nobody accepts while the machine stands still."""

    request_queue_size = 128


@contextmanager
def http_stub(handler: type[BaseHTTPRequestHandler], port: int = 0) -> Iterator[str]:
    """Its address (`http://127.0.0.1:port`) while the context is open; `port` 0: a free one."""
    server = _Server(("127.0.0.1", port), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
