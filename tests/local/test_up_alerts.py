"""Alerts of a manifest under `lgs up`: evaluated, said, and told to their receiver."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import orjson
import pytest

from support.alerts import SECRET
from support.up import Up, up_with_example

MANIFEST = """
apiVersion: lgs.dev/v1alpha1
kind: LangGraphService
metadata: {name: tried}
spec:
  graphs: {agent: ./graph.py:graph}
  scaling: {mode: Manual}
  replicas: 1
  workers: {drainSeconds: 2}
  observability:
    alerts:
      defaults: true
      webhook: {url: "URL", secret: {name: signing}}
      rules:
        - {name: Busy, metric: runsOpen, operator: gt, threshold: 0, severity: info}
"""


class Receiver(ThreadingHTTPServer):
    """One that listens on this machine, and keeps what it is sent: what is sent again, as it was not
    answered in time, once, as receivers do by its id."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Call)
        self.told: list[str] = []
        self.signed: list[str] = []
        self.ids: set[str] = set()


class Call(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = orjson.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.headers["webhook-id"] not in self.server.ids:
            self.server.ids.add(self.headers["webhook-id"])
            self.server.told.append(f"{body['alerts'][0]['labels']['alertname']} {body['status']}")
        self.server.signed.append(self.headers["webhook-signature"])
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def up(tmp_path: Path, receiver: Receiver) -> Iterator[Up]:
    url = f"http://127.0.0.1:{receiver.server_address[1]}/told"
    with up_with_example(tmp_path / "service", MANIFEST.replace("URL", url)) as it:
        yield it


def test_an_alert_fires_and_ends_here_as_in_a_cluster(up: Up, receiver: Receiver) -> None:
    up.environment["LGS_WEBHOOK_SECRET"] = SECRET
    up.serve()
    thread, run = up.session(steps=500, step_seconds=0.3)

    up.wait(lambda: up.said(r"alert Busy \(info\) fires: runsOpen above 0: it is 1\n"))
    up.wait(lambda: receiver.told == ["Busy firing"])
    up.client.post(f"/threads/{thread}/runs/{run}/cancel", params={"wait": True})

    up.wait(lambda: up.said(r"alert Busy is over: it is 0\n"))
    up.wait(lambda: receiver.told == ["Busy firing", "Busy resolved"])
    assert all(each.startswith("v1,") for each in receiver.signed)
    assert not up.said("LGS[A-Z]"), "none of the operator's own fires"


def test_without_a_secret_nobody_is_told_and_that_is_said(up: Up, receiver: Receiver) -> None:
    up.serve()

    up.session(steps=500, step_seconds=0.3)

    up.wait(lambda: up.said(r"alert Busy: .*/told was not told: LGS_WEBHOOK_SECRET is not set"))
    assert receiver.told == []
