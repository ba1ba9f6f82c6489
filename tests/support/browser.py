"""A real Chromium for tests: Debian's, driven by its WebDriver over HTTP."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from support.ports import PATIENCE_SECONDS, free_port

DRIVER: Final = "chromedriver"
DESKTOP: Final = (1280, 900)
PHONE: Final = (390, 844)
_ELEMENT: Final = "element-6066-11e4-a52e-4f735466cecf"
KEYS: Final = {"Tab": "\ue004", "Enter": "\ue007", "Left": "\ue012", "Right": "\ue014", "Escape": "\ue00c"}
FLAGS: Final = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--force-color-profile=srgb",
    "--hide-scrollbars",
    "--lang=en-GB",
)


class Browser:
    """One window, and what its page said in the console."""

    def __init__(self, client: httpx.Client, session: str) -> None:
        self._client = client
        self._path = f"/session/{session}"

    def _call(self, path: str, body: dict[str, Any] | None = None) -> Any:
        answer = self._client.post(f"{self._path}{path}", json=body or {})
        value = answer.json()["value"]
        assert answer.status_code == 200, value
        return value

    def open(self, url: str) -> None:
        """Goes there."""
        self._call("/url", {"url": url})

    def run(self, script: str, *arguments: Any) -> Any:
        """The body of a function in the page; gives what it returns, awaited."""
        return self._call("/execute/sync", {"script": script, "args": arguments})

    def text(self, selector: str = "body") -> str:
        """What is to be read there; empty where there is no such element."""
        return str(self.run("return document.querySelector(arguments[0])?.innerText ?? ''", selector))

    def texts(self, selector: str) -> list[str]:
        return list(
            self.run("return [...document.querySelectorAll(arguments[0])].map(e => e.innerText)", selector)
        )

    def click(self, selector: str) -> None:
        """As a person does: what is not to be seen, or is covered, can't be clicked on."""
        self._do(selector, "click")

    def type(self, selector: str, text: str) -> None:
        self._do(selector, "value", {"text": text})

    def _do(self, selector: str, what: str, body: dict[str, Any] | None = None) -> None:
        """On an element, which is found anew where the page has put another in its place meanwhile."""

        def done() -> bool:
            found = self._call("/element", {"using": "css selector", "value": selector})
            address = f"{self._path}/element/{found[_ELEMENT]}/{what}"
            answer = self._client.post(address, json=body or {})
            value = answer.json()["value"]
            is_gone = answer.status_code != 200 and value["error"] == "stale element reference"
            assert is_gone or answer.status_code == 200, value
            return not is_gone

        self.wait(done)

    def press(self, *keys: str) -> None:
        """On what has the focus."""
        actions = [
            {"type": kind, "value": KEYS.get(key, key)} for key in keys for kind in ("keyDown", "keyUp")
        ]
        self._call("/actions", {"actions": [{"type": "key", "id": "keys", "actions": actions}]})

    def wait(self, done: Callable[[], Any]) -> Any:
        late = time.monotonic() + PATIENCE_SECONDS
        while not (found := done()):
            assert time.monotonic() < late, self.text()
            time.sleep(0.1)
        return found

    def wait_for(self, words: str, selector: str = "body") -> None:
        """Until these words are to be read there."""
        self.wait(lambda: words in self.text(selector))

    def window(self, size: tuple[int, int], *, dark: bool = False) -> None:
        """So large, in these colours."""
        width, height = size
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.command("Emulation.setDeviceMetricsOverride", metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.command("Emulation.setEmulatedMedia", {"features": [scheme]})

    def command(self, name: str, parameters: dict[str, Any]) -> Any:
        """Of the DevTools protocol."""
        return self._call("/goog/cdp/execute", {"cmd": name, "params": parameters})

    def picture(self, file: Path) -> None:
        """A PNG of the whole page."""
        options = {"captureBeyondViewport": True, "format": "png"}
        file.write_bytes(base64.b64decode(self.command("Page.captureScreenshot", options)["data"]))

    def said(self) -> list[str]:
        """What stands in the console since this was asked last, warnings and worse: also what its policy
        forbade."""
        return [f"{each['level']}: {each['message']}" for each in self._call("/se/log", {"type": "browser"})]

    def axe(self) -> list[str]:
        """What axe finds that is serious, each with the elements."""
        self.run(axe_script() + "; return true")
        script = (
            "return axe.run(document, {resultTypes: ['violations']}).then(r => r.violations"
            ".filter(v => ['serious', 'critical'].includes(v.impact))"
            ".map(v => v.id + ': ' + "
            "v.nodes.map(n => n.target.join(' ') + ' ' + n.failureSummary).join('; ')))"
        )
        return list(self.run(script))


def axe_script() -> str:
    """The source of axe, as `tools/setup/browser.sh` brings it."""
    return Path(os.environ["LGS_TEST_AXE"]).read_text("utf-8")


def missing() -> str:
    """Why there is no browser; empty where there is one."""
    if shutil.which(DRIVER) is None or shutil.which("chromium") is None:
        return "no chromium and chromedriver: tools/setup/browser.sh"
    return "" if os.environ.get("LGS_TEST_AXE") else "LGS_TEST_AXE is not set: tools/setup/browser.sh"


def needed() -> None:
    """Skips the test where there is no browser; with LGS_TEST_JAVASCRIPT=required, as in `make test`, that is
    a failure."""
    if why := missing():
        if os.environ.get("LGS_TEST_JAVASCRIPT") == "required":
            pytest.fail(why)
        pytest.skip(why)


@contextmanager
def browser() -> Iterator[Browser]:
    """One with a profile of its own."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="lgs-browser.", ignore_cleanup_errors=True) as folder:
        log = Path(folder) / "driver.log"
        command = [DRIVER, f"--port={port}", f"--log-path={log}"]
        driver = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_SECONDS, trust_env=False)
        session = ""
        try:
            _answers(client)
            options = {
                "binary": shutil.which("chromium"),
                "args": [*FLAGS, f"--user-data-dir={folder}/profile"],
            }
            wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "WARNING"}}
            made = client.post("/session", json={"capabilities": {"alwaysMatch": wanted}}).json()["value"]
            session = made["sessionId"]
            yield Browser(client, session)
        finally:
            if session:
                with suppress(httpx.HTTPError):
                    client.delete(f"/session/{session}")
            client.close()
            driver.terminate()
            driver.wait(PATIENCE_SECONDS)


def _answers(client: httpx.Client) -> None:
    late = time.monotonic() + PATIENCE_SECONDS
    while True:
        with suppress(httpx.HTTPError):
            if client.get("/status").status_code == 200:
                return
        assert time.monotonic() < late, "chromedriver does not answer"
        time.sleep(0.1)
