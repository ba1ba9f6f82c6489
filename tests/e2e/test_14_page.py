"""14. The page, as a Service of the cluster and by `lgs dashboard`.

The chart makes it when it is told so. A visitor from another namespace sees the services with their history,
which comes from the operator that leads. Sessions take a token, and a service that asks for none shows none.
"""

from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from e2e.desk import desk, until_condition
from e2e.harness.kubectl import run
from e2e.harness.report import Report
from e2e.harness.visitor import Answer, Visitor, visitor
from e2e.story import RELEASE, Story

SHOWN = "shown"
KEY = "a-key-of-anna"
PAGE = "lgs-operator-dashboard"


@pytest.fixture(scope="module")
def shown(story: Story) -> Iterator[str]:
    """The uid of a service that asks nobody for a token."""
    story.kubectl.apply(desk(story, SHOWN))
    until_condition(story, SHOWN, "Ready", "Serving", 240)
    yield str(story.kubectl.get(f"langgraphservice/{SHOWN}")["metadata"]["uid"])
    story.kubectl("delete", f"langgraphservice/{SHOWN}", "--wait=true")


@pytest.fixture(scope="module")
def page(story: Story, shown: str) -> Iterator[Page]:
    """The page, for visitors of the story's namespace."""
    peer = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": story.kubectl.namespace}}}
    run(
        *("helm", "upgrade", RELEASE, str(story.root / "helm" / "lgs-operator")),
        *("--namespace", story.system.namespace, "--reset-then-reuse-values", "--wait", "--timeout", "3m"),
        *("--values", "-"),
        text=json.dumps({"dashboard": {"enabled": True, "from": [peer]}}),
        timeout=240,
    )
    with visitor(story.kubectl, story.image("lgs-runtime"), story.keep) as asks:
        yield Page(story, asks, shown)


class Page:
    """What a visitor sees of it."""

    def __init__(self, story: Story, asks: Visitor, uid: str) -> None:
        self._story, self.asks, self._uid = story, asks, uid
        self.host = f"{PAGE}.{story.system.namespace}.svc"
        self.url = f"http://{self.host}"

    def services(self) -> dict[str, Any]:
        answer = self.asks.ask(f"{self.url}/api/services")
        assert answer.status == 200, answer
        found: dict[str, Any] = answer.json()
        return found

    def of_shown(self) -> dict[str, Any] | None:
        """What is known of the service, once its history comes from the operator."""
        known = self.services()
        mine = [each for each in known["services"] if each["name"] == SHOWN and each["at"] is not None]
        return mine[0] if mine and "trouble" not in known else None

    def session(self, path: str, method: str = "GET", body: Any = None, **headers: str) -> Answer:
        url = f"{self.url}/runtime/{self._story.kubectl.namespace}/{SHOWN}/{path}"
        return self.asks.ask(url, method, body, Lgs_Service=self._uid, **headers)


def test_a_visitor_sees_services_and_their_history(story: Story, page: Page, report: Report) -> None:
    pods = story.system.pods(f"app.kubernetes.io/instance={RELEASE},app.kubernetes.io/name=lgs-operator")

    found = story.kubectl.until("the history of the service", page.of_shown, 120)

    report.add("operators, of which one has the page's history", len(pods), "", "2")
    assert len(pods) == 2
    assert found["values"]["ready"] == 1
    assert '<script type="module"' in page.asks.ask(f"{page.url}/").text
    history = page.asks.ask(f"{page.url}/api/services/{story.kubectl.namespace}/{SHOWN}/history")
    assert (history.status, bool(history.json()["at"])) == (200, True)
    live = page.asks.ask(f"{page.url}/api/events", first_line=True)
    assert live.text.startswith("data: {")


def test_nobody_gets_the_history_without_the_token_of_the_page(story: Story, page: Page) -> None:
    address = f"http://{RELEASE}-history.{story.system.namespace}.svc:8082/api/services"

    assert page.asks.ask(address).status in (0, 401)
    assert page.asks.ask(address, Host="127.0.0.1", Authorization="Bearer guessed").status in (0, 401)


def test_the_page_is_asked_by_its_own_name_only(page: Page) -> None:
    for path in ("/", "/api/services"):
        assert page.asks.ask(f"{page.url}{path}", Host="evil.example").status == 403
    assert page.asks.ask(f"{page.url}/api/services", Origin="http://evil.example").status == 403


def test_sessions_are_shown_to_who_has_a_token_of_a_service_that_asks_for_one(
    story: Story, page: Page
) -> None:
    """At first it asks for none: then no text is a token."""
    assert page.session("threads/search", "POST", {}).status == 401
    refused = page.session("threads/search", "POST", {}, X_Api_Key="anything")
    assert (refused.status, "asks nobody for a token" in refused.text) == (403, True)

    story.kubectl("create", "secret", "generic", "page-keys", f"--from-literal=keys=anna={KEY}")
    secret = {"auth": {"apiKeys": {"secret": {"name": "page-keys"}}}}
    story.kubectl.merge(f"langgraphservice/{SHOWN}", {"spec": secret})
    until_condition(story, SHOWN, "Ready", "Serving", 240)

    def made() -> str | None:
        answer = page.session("threads", "POST", {}, X_Api_Key=KEY)
        return answer.json()["thread_id"] if answer.status == 200 else None

    thread = story.kubectl.until("a session is made with the key", made, 120)

    def status(wanted: int, **headers: str) -> None:
        # The replica that asked for no key may answer until it has ended.
        is_so = lambda: page.session(f"threads/{thread}", **headers).status == wanted  # noqa: E731
        story.kubectl.until(f"{wanted} for {headers}", is_so, 120)

    status(200, X_Api_Key=KEY)
    status(401, X_Api_Key="guessed")
    status(401)
    status(401, Authorization=f"Bearer {KEY}")


def test_lgs_dashboard_shows_the_same_by_port_forward(story: Story, page: Page) -> None:
    path = f"runtime/{story.kubectl.namespace}/{SHOWN}/threads/search"
    with dashboard(story) as url:
        here = Here(url)

        def known() -> bool:
            found = here.ask("api/services").json()
            names = [each["name"] for each in found["services"] if each["at"] is not None]
            return "trouble" not in found and SHOWN in names

        story.kubectl.until("the history by port-forward", known, 120)
        assert here.ask(path, {}).status == 401
        assert len(here.ask(path, {}, X_Api_Key=KEY).json()) == 1


class Here:
    """What `lgs dashboard` answers on this machine."""

    def __init__(self, url: str) -> None:
        self._url = url

    def ask(self, path: str, body: Any = None, **headers: str) -> Answer:
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        with httpx.Client(trust_env=False, timeout=60) as client:
            method = "GET" if body is None else "POST"
            answer = client.request(method, f"{self._url}{path}", json=body, headers=named)
        return Answer(answer.status_code, answer.text)


@contextlib.contextmanager
def dashboard(story: Story) -> Iterator[str]:
    """The command's address while the block runs."""
    options = ("--namespace", story.kubectl.namespace, "--operator-namespace", story.system.namespace)
    command = [sys.executable, "-m", "lgs_operator.cli", "dashboard", *options, "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        said = process.stdout.readline()
        found = re.match(r"the page: (http://127\.0\.0\.1:\d+/)", said)
        assert found, said
        yield found[1]
    finally:
        process.send_signal(signal.SIGINT)
        code = process.wait(60)
    assert code == 0
