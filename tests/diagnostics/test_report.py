"""Performance reports: what is in the file, that it needs nothing else, and how it looks."""

from __future__ import annotations

import logging
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers import recorded_in, run, wait_until

from shoal import Client, LocalCluster, performance_report, wait
from shoal.diagnostics.profile import new_tree
from shoal.diagnostics.profile_page import profile_page
from shoal.diagnostics.stream_recording import Transfer, transfers_of, transfers_told

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def inc(x: int) -> int:
    return x + 1


def fail() -> None:
    raise ValueError("</script><b>no")


def slow_spin(seconds: float) -> int:
    n, end = 0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        n += 1
    return n


def large(i: int) -> bytes:
    return bytes(100_000)


def both(*parts: bytes) -> int:
    return sum(len(part) for part in parts)


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with Client(processes=False, n_workers=2, threads_per_worker=1, dashboard_address=None) as c:
        yield c


@pytest.fixture(scope="module")
def report(client: Client, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    a, b = client.scheduler_info()["workers"]
    with performance_report(filename=path):
        wait(client.map(inc, range(20)))
        wait(client.submit(slow_spin, 0.3))
        wait(client.submit(fail, key="fail-</script>"))
        parts = [client.submit(large, i, workers=[a]) for i in range(3)]
        assert client.submit(both, *parts, workers=[b]).result() == 300_000
    return path


def test_what_is_in_it(report: Path) -> None:
    found = recorded_in(report.read_text())
    summary = found["answers"]["summary"]
    facts = dict(summary["facts"])
    assert facts["Tasks"] == "26" and facts["Failed"] == "1"
    assert {"inc", "large"} < {kind["name"] for kind in summary["work"]}
    assert "wait(client.map(inc, range(20)))" in summary["code"]
    (frame,) = found["frames"]
    (stream,) = frame["streams"]
    assert len(stream["keys"]) >= 26 and sum(stream["failed"]) == 1
    assert len(frame["history"]["columns"]["memory"]) > 0
    (pair,) = found["answers"]["transfers"]["pairs"]
    assert pair["nbytes"] == 300_000
    assert "slow_spin" in str(found["answers"]["profile"])


def test_nothing_but_its_own_script_may_run(report: Path) -> None:
    text = report.read_text()
    policy = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)[0]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert text.count("</script>") == 2 and "<link" not in text and " src=" not in text
    assert len(text) < 200_000


@pytest.fixture
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on this machine")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


def test_each_of_its_pages_in_a_browser(report: Path, browser: Any) -> None:
    page = browser.new_page()
    page.context.set_offline(True)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: said.type == "error" and wrong.append(said.text))
    page.goto(report.as_uri())
    page.wait_for_selector("text=Time to unpickle")
    shown = page.locator("nav a")
    titles = shown.all_inner_texts()
    assert titles[:3] == ["Summary", "Task Stream", "Profile"]
    for i, title in enumerate(titles):
        shown.nth(i).click()
        page.wait_for_selector(f"nav a:nth-child({i + 1})[aria-current=page]")
        wait_until(lambda: page.locator("[data-asked=waits]").count() == 0)
        assert page.locator(".error").count() == 0, title
    page.goto(f"{report.as_uri()}#task?key=fail-%3C%2Fscript%3E")
    page.wait_for_selector("h2:has-text('fail-</script>')")
    assert "It failed on" in page.locator(".why").inner_text()
    page.go_back()
    assert wrong == []
    page.close()


def test_it_is_shown_in_a_notebook(browser: Any) -> None:
    page = browser.new_page()
    page.set_content(profile_page(new_tree())._repr_html_())
    page.frame_locator("iframe").locator("nav a[aria-current=page]").wait_for()
    page.close()


def test_asynchronous(tmp_path: Path) -> None:
    async def main() -> None:
        async with (
            LocalCluster(processes=False, n_workers=1, asynchronous=True) as cluster,
            Client(cluster, asynchronous=True) as c,
        ):
            async with performance_report(tmp_path / "r.html", client=c) as report:
                assert await c.submit(inc, 1) == 2
            assert report.page is not None and "Performance report" in repr(report.page)
            with (
                pytest.raises(TypeError, match="async with"),
                performance_report(tmp_path / "s.html"),
            ):
                pass

    run(main())
    assert (tmp_path / "r.html").exists() and not (tmp_path / "s.html").exists()


def test_other_places_to_write_to(client: Client, tmp_path: Path) -> None:
    with performance_report(f"file://{tmp_path}/r.html"):
        pass
    found = recorded_in((tmp_path / "r.html").read_text())
    assert ["Tasks", "0"] in found["answers"]["summary"]["facts"]


def test_what_fails(client: Client, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(KeyError), performance_report(tmp_path / "r.html"):
        raise KeyError("the block's own")
    assert (tmp_path / "r.html").exists()
    with pytest.raises(FileNotFoundError), performance_report(tmp_path / "no" / "r.html"):
        pass
    with (
        caplog.at_level(logging.WARNING),
        pytest.raises(KeyError),
        performance_report(tmp_path / "no" / "r.html"),
    ):
        raise KeyError("the block's own")
    assert "no report was written" in caplog.text


def test_a_transfer_for_several_tasks_counts_once() -> None:
    span = {"action": "transfer", "start": 1.0, "stop": 2.0, "source": "a", "nbytes": 7}
    record = {"worker": "b", "startstops": [span]}
    assert transfers_of([record, record]) == [Transfer("a", "b", 1.0, 2.0, 7)]
    many = [Transfer(f"w{i}", "x", 0.0, 0.0, i) for i in range(4)]
    told = transfers_told(many, most=2)
    assert [pair["source"] for pair in told["pairs"]] == ["w3", "w2"] and told["more"] == 2
    assert transfers_told([])["pairs"] == []
