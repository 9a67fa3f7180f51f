"""Performance reports: what is in the file, that it needs nothing else, and how it looks."""

from __future__ import annotations

import json
import logging
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import run

from shoal import Client, LocalCluster, performance_report, wait
from shoal.diagnostics.report_page import Transfer, transfers_of, transfers_page

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


def pages(path: Path) -> dict[str, str]:
    """Return the pages inside the page."""
    (found,) = re.findall(r"const PAGES = (\[\[.*\]\]);\n", path.read_text())
    return dict(json.loads(found))


def test_what_is_in_it(report: Path) -> None:
    text = report.read_text()
    assert set(pages(report)) == {
        "Task stream",
        "Profile of tasks",
        "Profile of workers",
        "Profile of scheduler",
        "Bandwidth",
    }
    assert "<td>inc</td>" in text and "<td>large</td>" in text
    assert "<th>Tasks</th><td>26</td>" in text and "<th>Failed</th><td>1</td>" in text
    assert "wait(client.map(inc, range(20)))" in text  # the code that ran
    assert "26 tasks" in pages(report)["Task stream"]
    assert "292.97 kiB" in pages(report)["Bandwidth"]


def test_it_needs_nothing_else(report: Path) -> None:
    for text in [report.read_text(), *pages(report).values()]:
        assert not re.search(r"""(src|href)\s*=|@import|url\(|<link|fetch\(""", text)
        assert text.count("</script>") == text.count("<script>") <= 1


def browse(path: Path, tmp_path: Path, tab: str = "") -> str:
    """Return the document as a real browser has it after the scripts ran; with no network."""
    assert CHROMIUM is not None
    done = subprocess.run(
        [
            CHROMIUM,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--virtual-time-budget=2000",
            "--enable-logging=stderr",
            "--dump-dom",
            f"{path.as_uri()}#{tab}",
        ],
        capture_output=True,
        text=True,
        timeout=50,
        check=True,
    )
    assert "Uncaught" not in done.stderr, done.stderr
    return done.stdout


@pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium")
def test_in_a_browser(report: Path, tmp_path: Path) -> None:
    dom = browse(report, tmp_path)
    assert '<button class="on">Summary</button>' in dom
    dom = browse(report, tmp_path, "task-stream")
    assert '<button class="on">Task stream</button>' in dom and 'id="summary" hidden' in dom


@pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium")
@pytest.mark.parametrize("name", ["Task stream", "Profile of tasks", "Bandwidth"])
def test_its_pages_in_a_browser(report: Path, tmp_path: Path, name: str) -> None:
    page = tmp_path / "page.html"
    page.write_text(pages(report)[name])
    dom = browse(page, tmp_path)
    drawn = {"Task stream": '<canvas width="', "Bandwidth": "<rect "}
    assert drawn.get(name, "slow_spin</div>") in dom


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
    assert "<th>Tasks</th><td>0</td>" in (tmp_path / "r.html").read_text()


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
    assert "and 2 more pairs" in transfers_page(many, most=2).html
    assert "No worker" in transfers_page([]).html
