"""The page of services in a real browser: what is to be read there, by mouse, keyboard and phone, whatever
words come from outside."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from lgs_operator.dashboard.server import page_app
from lgs_operator.dashboard.sources import Kept
from lgs_operator.history.decisions import Firing
from lgs_operator.history.service import Histories, ServiceHistory
from lgs_operator.scaling import Decision, Memory, Observation, ReplicaSample
from support.browser import DESKTOP, PHONE, Browser
from support.loopback import in_thread

HOSTILE = '<img src=x onerror="window.ran=1"><script>window.ran=1</script>\'"&amp;\u202e'


class Story:
    """A spike: one replica, then three."""

    def __init__(self) -> None:
        self.now = time.time()
        self.histories = Histories(lambda: self.now)
        begun = self.histories.begin("shop", "support", "uid")
        assert begun is not None
        self.history: ServiceHistory = begun
        self.histories.begin("shop", "idle", "uid")
        began = self.now
        for second in range(-300, 1, 5):
            self.now = began + second
            self.round(*((1, "Steady", "one is enough") if second < -100 else (3, "ScaledOut", "17 wait")))

    def round(
        self,
        replicas: int,
        code: str,
        reason: str,
        firing: dict[str, Firing] | None = None,
        used_up: frozenset[str] | None = None,
    ) -> None:
        sample = ReplicaSample(
            "a", self.now, slots=10 * replicas, in_use=7, arrived=self.now - 1e9, finished=self.now - 1e9,
            waiting=5, waiting_by=(1.0, 3.0, 1.0), oldest_seconds=0.5, started_at=1e9, used_up=used_up,
        )  # fmt: skip
        decided = Decision(replicas, reason, code, {}, None, Memory())  # type: ignore[arg-type]
        observed = Observation(at=self.now, samples=(sample,), ready=replicas)
        self.history.observe(self.now, observed, decided, firing or {})

    def later(self, *round: object) -> None:
        self.now += 5
        self.round(*round)  # type: ignore[arg-type]


@pytest.fixture
def story() -> Story:
    return Story()


@pytest.fixture
def page(story: Story, window: Browser) -> Iterator[Browser]:
    with in_thread(page_app(Kept(story.histories))) as url:
        window.window(DESKTOP)
        window.said()
        window.open(url)
        yield window
        window.open("about:blank")


def of_service(page: Browser) -> None:
    page.wait_for("support", ".cards")
    page.click(".card a[href='#/shop/support']")
    page.wait_for("17 wait")


def test_all_services_at_a_glance_and_the_way_to_one(page: Browser) -> None:
    page.wait_for("support", ".cards")

    assert page.texts(".card .name") == ["idle", "support"], "first what is not known to be healthy"
    card = page.texts(".card")[1]
    assert all(each in card for each in ("3 of 3", "7 of 30", "healthy", "17 wait"))
    of_service(page)

    assert page.text("h1") == "support"
    assert page.said() == []


def test_a_spike_is_told_with_the_decision_that_followed_and_what_comes_is_seen_live(
    page: Browser, story: Story
) -> None:
    of_service(page)
    tiles = page.texts(".tile")
    assert {"Replicas\n3 / 3", "Slots in use\n7 / 30", "Waiting\n5"} <= set(tiles)
    assert "▲ +2 → 3" in page.texts(".decisions li")[0]

    story.later(1, "ScaledIn", "nobody is there", {"Busy": Firing("critical", "it is 9")})

    page.wait_for("▼ −2 → 1", ".decisions")
    page.wait_for("Now: ScaledIn: nobody is there", ".holding")
    page.wait_for("Busy")
    assert "1 alert" in page.text(".head")


def test_a_service_whose_budget_is_used_up_is_not_called_healthy(page: Browser, story: Story) -> None:
    of_service(page)
    assert "healthy" in page.text(".head")

    story.later(3, "Steady", "nothing waits", None, frozenset({"tokens-per-hour"}))

    page.wait_for("budget used up", ".head")


def test_of_a_service_that_is_not_there_the_page_says_so_and_finds_it_when_it_comes(
    page: Browser, story: Story
) -> None:
    page.run("location.hash = '#/shop/later'")
    page.wait_for("there is no such service, or nothing is known of it yet", ".notice")

    begun = story.histories.begin("shop", "later", "uid")
    assert begun is not None
    story.history = begun
    story.later(2, "Steady", "two are enough")

    page.wait_for("Now: Steady: two are enough", ".holding")
    page.wait(lambda: not page.run("return document.querySelector('.notice').checkVisibility()"))


def test_the_first_measurement_of_a_service_is_seen_though_no_line_leads_to_it(
    page: Browser, story: Story
) -> None:
    begun = story.histories.begin("shop", "new", "uid")
    assert begun is not None
    story.history = begun
    story.later(1, "Steady", "one is enough")
    page.run("location.hash = '#/shop/new'")
    page.wait_for("Now: Steady", ".holding")

    page.wait(lambda: page.run(DRAWN, "Wait in the queue"))


DRAWN = """
const charts = [...document.querySelectorAll("figure")];
const chart = charts.find((each) => each.textContent.includes(arguments[0]));
const canvas = chart.querySelector('canvas');
if (!canvas) return false;
const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
const orange = (at) => data[at] > 150 && data[at + 2] < 100 && data[at + 3] > 100;
for (let at = 0; at < data.length; at += 4) if (orange(at)) return true;
return false;
"""
"""Whether the dashed line's colour is somewhere in the chart of this title."""


def test_no_time_below_a_chart_is_cut_off_where_it_ends(page: Browser) -> None:
    of_service(page)

    page.wait(lambda: len(page.run(ROOM)) > 3)

    assert [each for each in page.run(ROOM) if each["left"] < each["needed"]] == []


ROOM = """
const ruler = document.createElement("canvas").getContext("2d");
ruler.font = "11px system-ui, sans-serif";
const noon = new Date(2026, 10, 30, 12, 0);
const time = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" }).format(noon);
const shown = [...document.querySelectorAll(".u-wrap")].filter((wrap) => wrap.clientWidth);
return shown.map((wrap) => {
  const over = wrap.querySelector(".u-over");
  const left = wrap.clientWidth - over.offsetLeft - over.offsetWidth;
  return { left, needed: ruler.measureText(time).width / 2 - 1 };
});
"""
"""For each chart that is shown: the pixels right of where its time ends, and those of half a time of day."""


def test_by_keyboard_a_chart_says_what_was_then_and_which_decision_held(page: Browser) -> None:
    of_service(page)
    page.run("document.querySelector('.plot').focus()")

    page.press("\ue011")  # Home: the first point

    page.wait(lambda: "one is enough" in page.text(".holding"))
    assert "ready: 1" in page.run("return document.activeElement.getAttribute('aria-label')")
    page.press("Escape")
    page.wait(lambda: page.text(".holding").startswith("Now: ScaledOut"))


def test_all_can_be_reached_by_the_tab_key_and_the_focus_is_seen(page: Browser) -> None:
    of_service(page)
    page.run("document.body.focus(); document.activeElement.blur()")
    reached = set()
    for _ in range(30):
        page.press("Tab")
        reached.add(
            page.run(
                "const e = document.activeElement; return e.className + '|' + "
                "(getComputedStyle(e).outlineStyle !== 'none')"
            )
        )

    assert {each.partition("|")[0] for each in reached} >= {"skip", "brand", "quiet", "choice", "plot"}
    assert all(each.endswith("|true") for each in reached if each.partition("|")[0])


def test_words_from_outside_are_shown_as_words(page: Browser, story: Story) -> None:
    of_service(page)

    story.later(2, "ScaledIn", HOSTILE, {HOSTILE: Firing(HOSTILE, HOSTILE)})
    page.wait_for("<script>window.ran=1</script>", ".decisions")
    page.run("location.hash = '#/shop/' + encodeURIComponent(arguments[0])", HOSTILE)
    page.wait_for("<img src=x", "h1")

    assert page.run("return window.ran ?? null") is None
    assert page.run("return document.querySelectorAll('img[src=\"x\"], main script').length") == 0


def test_it_asks_no_other_host_and_its_policy_forbids_nothing_that_it_does(page: Browser) -> None:
    of_service(page)

    asked = page.run("return performance.getEntriesByType('resource').map(e => new URL(e.name).host)")

    assert set(asked) == {page.run("return location.host")}
    assert page.said() == []
    blocked = page.run(
        "try { document.body.innerHTML = '<b>x</b>'; return 'set' } catch (e) { return e.name }"
    )
    assert blocked == "TypeError", "the policy forbids text as HTML, whatever a mistake may do"


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing_serious_and_nothing_is_cut(
    page: Browser, size: tuple[int, int], dark: bool
) -> None:
    page.window(size, dark=dark)
    page.wait_for("support", ".cards")
    assert page.axe() == []
    of_service(page)

    assert page.axe() == []
    wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.run(wide) <= 0, "nothing is wider than the window"


@pytest.mark.parametrize("size", [DESKTOP, (1100, 900), PHONE], ids=["desktop", "narrow", "phone"])
@pytest.mark.parametrize("cells", ["dd", ".tile:nth-child(5) dd"], ids=["all", "one"])
def test_a_long_number_has_room_in_its_tile(page: Browser, size: tuple[int, int], cells: str) -> None:
    page.window(size)
    of_service(page)

    over = page.run(
        "document.querySelectorAll('.tiles ' + arguments[0])"
        ".forEach(e => { e.textContent = '0.0394 runs/s' });"
        "return [...document.querySelectorAll('.tile')].filter(e => e.scrollWidth > e.clientWidth).length",
        cells,
    )

    assert over == 0
    assert page.run("const t = document.querySelector('.tiles'); return t.scrollWidth - t.clientWidth") <= 0


def test_a_server_that_is_gone_is_told_and_what_was_known_stays(story: Story, window: Browser) -> None:
    with in_thread(page_app(Kept(story.histories))) as url:
        window.window(DESKTOP)
        window.open(url)
        of_service(window)

    window.wait_for("not connected", "#live")
    assert "17 wait" in window.text()
    window.open("about:blank")


def test_a_stretch_in_which_nobody_measured_is_a_gap_and_not_a_line_across(
    page: Browser, story: Story
) -> None:
    of_service(page)
    page.run("document.querySelector('.plot').focus()")

    story.now += 295
    story.later(2, "Steady", "after a while")
    page.wait_for("after a while", ".holding")
    page.press("Left")

    label = "return document.activeElement.getAttribute('aria-label')"
    page.wait(lambda: "ready: –" in page.run(label))


def test_another_stretch_of_time_is_chosen(page: Browser) -> None:
    of_service(page)

    page.click(".choice:nth-child(3)")

    page.wait(lambda: page.run("return document.querySelector('[aria-pressed=true]').innerText") == "24 h")
    page.wait_for("17 wait", ".decisions")
