"""Sessions on the page, in a real browser, with a real `lgs up`: found, followed, answered, taken back."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from dashboard.served import Served
from support.browser import DESKTOP, PHONE, Browser, needed
from support.ports import PATIENCE_SECONDS
from support.up import up_with_example

MANIFEST = """
apiVersion: lgs.dev/v1alpha1
kind: LangGraphService
metadata: {name: tried}
spec:
  graphs: {agent: ./graph.py:graph}
  scaling: {mode: Manual}
  replicas: 1
  workers: {drainSeconds: 2}
"""
HOSTILE = '<img src=x onerror="window.ran=1"><script>window.ran=1</script>\'"&'
KEY = "a-key-of-anna"


def serve(folder: Path, environment: dict[str, str]) -> Iterator[Served]:
    needed()
    with up_with_example(folder, MANIFEST) as up:
        shutil.copy(Path(__file__).with_name("refund_graph.py"), folder / "graph.py")
        up.environment = environment
        yield Served(up, "tried")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    yield from serve(tmp_path_factory.mktemp("open") / "service", {})


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One whose API asks for a key."""
    yield from serve(tmp_path_factory.mktemp("closed") / "service", {"LGS_API_KEYS": f"anna={KEY}"})


@pytest.fixture
def page(window: Browser) -> Iterator[Browser]:
    window.window(DESKTOP)
    window.said()
    yield window
    window.open("about:blank")


def test_a_session_is_found_by_what_is_known_of_it(page: Browser, served: Served) -> None:
    for customer in ("anna", "ben"):
        served.ran(served.thread(customer=customer, vip=customer == "anna"))
    page.open(served.at())
    page.wait_for("customer=ben", "table")

    page.type("input[type=search]", "customer=anna vip=true")

    page.wait(lambda: "customer=ben" not in page.text("table") and "customer=anna" in page.text("table"))
    page.click("table a")
    page.wait_for("Where is my order?", ".messages")
    page.wait_for("Refund: none", ".messages")
    page.wait_for("Version 1", ".versions")
    assert "success" in page.text("[aria-label=Runs]")
    assert page.said() == []


def test_ten_thousand_sessions_are_a_page_at_a_time(page: Browser, served: Served) -> None:
    served.ran(served.thread(kind="many"))
    served.thread(kind="other")
    with sqlite3.connect(served.up.folder / ".lgs/tried/lgs.db", timeout=PATIENCE_SECONDS) as database:
        database.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000) "
            "INSERT INTO lgs_thread (thread_id, metadata, created_at, updated_at, state_updated_at) "
            "SELECT printf('00000000-0000-4000-8000-%012d', i), json_object('kind', 'many', 'number', i), "
            "1700000000 + i, 1700000000 + i, 1700000000 + i FROM n"
        )
    page.open(served.at())
    page.type("input[type=search]", "kind=many")
    page.wait_for("1 to 50 of 10,001")

    page.click(".bar button:nth-child(2)")
    page.wait_for("51 to 100 of 10,001")

    assert page.run("return document.querySelectorAll('tbody tr').length") == 50
    page.run("document.querySelector('input[type=search]').value = ''")
    page.type("input[type=search]", "number=7777")
    page.wait_for("00000000-0000-4000-8000-000000007777", "table")
    page.wait_for("1 to 1 of 1")


def test_a_run_is_followed_live_its_question_answered_and_the_session_taken_back(
    page: Browser, served: Served, tmp_path: Path
) -> None:
    thread = served.thread(customer="carla")
    served.ran(thread)
    page.open(served.at(thread))
    page.wait_for("Version 1")

    served.run(thread, "I want my money back", gate=str(tmp_path), ask=True)
    page.wait_for("Runs now: plan")
    (tmp_path / "plan").touch()
    page.wait_for("Runs now: look_up")
    marked = "return [...document.querySelectorAll('.graph .running text')].map(e => e.textContent)"
    assert page.run(marked) == ["look_up"]
    (tmp_path / "look_up").touch()

    page.wait_for("Refund 40 EUR?", ".ask")
    page.wait_for("Waits for an answer: ask_person")
    page.type(".ask textarea", "granted by Eve")
    page.click(".ask button[type=submit]")
    page.wait_for("Refund: granted by Eve", ".messages")
    page.wait(lambda: not page.text(".ask"))

    page.wait_for("Version 3", ".versions")
    # The question whether it is really meant stays until it was answered.
    page.run(
        "const later = window.setTimeout;"
        "window.setTimeout = (what, after, ...more) => after === 5000 ? 0 : later(what, after, ...more)"
    )
    page.click(".versions > li:nth-child(1) button")
    page.wait_for("allowed granted by Eve", ".changes")
    page.click(".versions > li:nth-child(3) .bar button:last-child")
    page.wait_for("Really go back to 1?", ".versions")
    page.click(".versions > li:nth-child(3) .bar button:last-child")
    page.wait_for("as 1 was", ".versions")
    page.wait(lambda: "granted by Eve" not in page.text(".messages"))
    page.click(".column:nth-child(2) > section:last-child summary")
    page.wait_for("version.rolled_back")
    assert page.said() == []


def test_what_is_opened_of_a_version_stays_while_runs_change_and_versions_do_not(
    page: Browser, served: Served, tmp_path: Path
) -> None:
    thread = served.thread(customer="frank")
    for _ in range(2):
        served.ran(thread)
    page.open(served.at(thread))
    page.wait_for("Version 2", ".versions")
    page.click(".versions > li:nth-child(1) button")
    page.wait_for("in messages", ".changes")
    reads = (
        "return performance.getEntriesByType('resource').filter(e => e.name.includes('/versions?')).length"
    )
    before = page.run(reads)

    served.run(thread, gate=str(tmp_path))
    page.wait(lambda: page.run(reads) > before)
    page.wait_for("Runs now: plan")

    assert "in messages" in page.text(".changes")
    for gate in ("plan", "look_up"):
        (tmp_path / gate).touch()


def test_words_of_an_application_are_shown_as_words(page: Browser, served: Served) -> None:
    thread = served.thread(**{HOSTILE: HOSTILE})
    served.run(thread, HOSTILE, ask=True, **{HOSTILE: HOSTILE})
    page.open(served.at(thread))
    page.wait_for("<script>window.ran=1</script>", ".messages")
    page.wait_for("<script>window.ran=1</script>", ".ask")
    page.open(served.at())
    page.wait_for("<script>window.ran=1</script>", "table")

    assert page.run("return window.ran ?? null") is None
    assert page.run("return document.querySelectorAll('img[src=\"x\"], main script').length") == 0


def test_without_a_token_nothing_is_seen_and_with_one_what_it_may_see(page: Browser, closed: Served) -> None:
    closed.up.client.headers["X-Api-Key"] = KEY
    thread = closed.thread(customer="dora")
    closed.ran(thread)
    page.open(closed.at())
    page.wait_for("The API asks who you are", "[role=alert]")
    assert "dora" not in page.text()

    page.type("input[type=password]", KEY)
    page.click(".token button")
    page.wait_for("customer=dora", "table")
    page.click("table a")
    page.wait_for("Refund: none", ".messages")

    page.open("about:blank")
    page.open(closed.at(thread))
    page.wait_for("Refund: none", ".messages")
    kept = page.run("return [JSON.stringify({...localStorage}), document.cookie]")
    assert KEY not in "".join(kept), "it is kept in the tab alone"
    page.run("sessionStorage.clear()")


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing_serious_and_nothing_is_cut(
    page: Browser, served: Served, size: tuple[int, int], dark: bool
) -> None:
    thread = served.thread(customer="emma")
    served.ran(thread)
    served.run(thread, "My money, please", ask=True)
    page.window(size, dark=dark)
    wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    for address, shown in ((served.at(), "customer=emma"), (served.at(thread), "Refund 40 EUR?")):
        page.open("about:blank")
        page.open(address)
        page.wait_for(shown)

        assert page.axe() == []
        assert page.run(wide) <= 0, "nothing is wider than the window"
