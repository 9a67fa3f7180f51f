"""The pages in a real browser: they draw, hostile text stays text, and the keyboard suffices."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from helpers import wait_until

from shoal import Client, LocalCluster
from shoal.dashboard.pages import PAGES, PANES

sync_api = pytest.importorskip("playwright.sync_api")

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(BROWSER is None, reason="there is no Chromium on this machine"),
]

HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>"


def double(x: int) -> int:
    return 2 * x


def fail(x: int) -> None:
    raise ValueError(HOSTILE)


@pytest.fixture
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def link() -> Iterator[str]:
    """Return where the pages of a cluster are that has done a bit of everything."""
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=2, processes=False, dashboard_address=":0"
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        futures = client.map(double, range(20))
        total = client.submit(sum, futures, key=f"{HOSTILE}-1")
        failed = client.submit(fail, 1, key=f"fails {HOSTILE}-2")
        never = client.submit(double, 1, key="never-1", workers=["nobody"])
        client.log_event(HOSTILE, HOSTILE)
        wait_until(lambda: total.done() and failed.done())
        yield cluster.dashboard_link.removesuffix("status")
        never.release()


class Looked:
    """A page that somebody looks at, and all that went wrong on it."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.wrong: list[str] = []
        page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        page.on("dialog", lambda dialog: self.wrong.append(f"dialog: {dialog.message}"))
        page.on("console", self._said)

    def _said(self, message: Any) -> None:
        if message.type == "error" and "favicon" not in message.location["url"]:
            self.wrong.append(message.text)

    def at(self, url: str) -> Any:
        self.page.goto(url)
        # Not `wait_for_function`: it evaluates text in the page, whose policy forbids that.
        self.wait_for("shoalDashboard.store.version > 2")
        return self.page

    def wait_for(self, condition: str) -> None:
        wait_until(lambda: self.page.evaluate(condition), timeout=30)


@pytest.fixture
def looked(browser: Any) -> Iterator[Looked]:
    context = browser.new_context(viewport={"width": 1200, "height": 800})
    found = Looked(context.new_page())
    yield found
    context.close()
    assert found.wrong == []


def test_the_status_shows_the_cluster(looked: Looked, link: str) -> None:
    page = looked.at(f"{link}status")
    page.wait_for_selector("text=20 of 20 stored")
    assert page.locator("header .state").inner_text() == "live"
    assert "Workers" in page.locator(".summary").inner_text()


@pytest.mark.timeout(240)
def test_each_page_draws_and_hostile_text_stays_text(looked: Looked, link: str) -> None:
    for name in PAGES:
        page = looked.at(f"{link}{name}")
        looked.wait_for("!document.querySelector('[data-asked=waits]')")
        assert page.locator("p.error").count() == 0, name
        assert page.locator("main img, main script").count() == 0, name
        current = page.locator("nav a[aria-current=page]").count()
        assert current == (name not in ("task", "worker")), name


@pytest.mark.timeout(240)
def test_panes_stand_alone_as_notebooks_embed_them(looked: Looked, link: str) -> None:
    for name in PANES:
        page = looked.at(f"{link}individual-{name}")
        assert page.locator("header").count() == 0
        assert page.locator("section.pane").count() == 1


def test_a_pane_works_in_a_sandboxed_frame(looked: Looked, link: str) -> None:
    page = looked.page
    frame = f'<iframe sandbox="allow-scripts allow-same-origin" src="{link}individual-progress">'
    page.set_content(frame)
    page.frame_locator("iframe").locator(".progress .row").first.wait_for(timeout=20_000)


def test_a_task_is_one_click_away(looked: Looked, link: str) -> None:
    page = looked.at(f"{link}why")
    page.get_by_role("link", name="never-1").click()
    page.wait_for_selector("h2:has-text('never-1')")
    assert "nobody" in page.locator(".why").inner_text()
    page.go_back()
    page.wait_for_selector("text=no-worker")


def test_the_keyboard_suffices(looked: Looked, link: str) -> None:
    page = looked.at(f"{link}status")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "To the content"
    for _ in range(2):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("nav a[aria-current=page]:has-text('Workers')")
    heads = page.locator("th button")
    heads.first.focus()
    page.keyboard.press("Enter")
    assert page.locator("th[aria-sort=descending]").count() == 1


def test_dark_and_light(looked: Looked, link: str) -> None:
    def back() -> str:
        color: str = looked.page.evaluate("getComputedStyle(document.body).backgroundColor")
        return color

    looked.at(f"{link}status?theme=dark")
    dark = back()
    looked.page.get_by_label("Dark or light").click()
    assert back() != dark
    looked.page.emulate_media(color_scheme="dark")
    looked.at(f"{link}status")
    assert back() == dark


def test_a_page_comes_back_when_the_scheduler_does(looked: Looked, link: str) -> None:
    page = looked.at(f"{link}status")
    page.context.set_offline(True)
    page.evaluate("shoalDashboard.feed.disconnect()")
    page.wait_for_selector("header .state.lost")
    page.context.set_offline(False)
    page.wait_for_selector("header .state.live", timeout=20_000)
    looked.wrong.clear()  # the browser says that it could not connect
