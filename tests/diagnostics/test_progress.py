"""Bars of progress: what they count, and what they draw in a terminal and in a notebook."""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Iterator
from typing import Any

import dask
import pytest
from helpers import run, wait_until

import shoal
from shoal import Client, LocalCluster, progress
from shoal.client.observe.progress import ProgressBar, TextProgressBar
from shoal.diagnostics.bars import Counts, Row, bar_line, group_line
from shoal.diagnostics.widget import ProgressWidget

GATE = threading.Event()


def inc(x: int) -> int:
    return x + 1


def fail(x: int) -> int:
    raise ValueError(x)


def block(x: int) -> int:
    assert GATE.wait(20)
    return x


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with Client(processes=False, n_workers=1, threads_per_worker=2, dashboard_address=None) as c:
        yield c


@pytest.fixture(autouse=True)
def gate() -> Iterator[None]:
    GATE.clear()
    yield
    GATE.set()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_lines() -> None:
    assert bar_line(20, 20, 0.1).startswith("[" + " " * 40 + "] |  0% Completed")
    assert bar_line(0, 20, 1).startswith("[" + "#" * 40 + "] | 100% Completed")
    assert "99% Completed" in bar_line(1, 1000, 1)
    assert "100% Completed" in bar_line(0, 0, 0)
    assert group_line([Row("a", 1, 2, 0)], 80) == "a 1/2"
    assert len(group_line([Row("a" * 50, 1, 2, 0)], 20)) == 20
    assert group_line([Row("a", 1, 2, 0)], 0) == ""
    assert Counts([Row("a", 1, 3, 1)], False).remaining == 2


def test_a_terminal_sees_it_move(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    out = Terminal()
    first = client.map(inc, range(5))
    second = client.submit(block, first)
    opener = threading.Thread(
        target=lambda: (wait_until(lambda: "83%" in out.getvalue()), GATE.set())
    )
    opener.start()
    assert progress(second, file=out, interval="5ms") is None
    opener.join()
    last = out.getvalue().rstrip("\n").split("\r")[-1]
    assert "100% Completed" in last and "inc 5/5" in last and "block 1/1" in last
    assert out.getvalue().endswith("\n")


def test_what_is_no_terminal_gets_the_last_line(
    client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    futures = client.map(inc, range(10, 30))
    progress(futures, multi=False)
    out = capsys.readouterr().out
    assert out.count("\n") == 1 and "\r" not in out
    assert out.startswith("[" + "#" * 40 + "] | 100% Completed | ")


def test_collections_and_what_they_need(client: Client) -> None:
    with dask.config.set({"optimization.fuse.active": False}):
        x = dask.delayed(block)(dask.delayed(inc)(1)).persist()
    bar = Recorder([x], interval="5ms")
    GATE.set()
    client.sync(bar.listen)
    assert bar.seen[-1] == (0, 2) and bar.status == "finished"
    assert {row.label for row in bar.counts.rows} == {"inc", "block"}


class Recorder(ProgressBar):
    """Derived the way others do it."""

    def __init__(self, keys: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(keys, *args, **kwargs)
        self.seen: list[tuple[int, int]] = []
        self.stopped: list[str] = []

    def _draw_bar(self, remaining: int, all: int, **kwargs: Any) -> None:
        self.seen.append((remaining, all))

    def _draw_stop(self, remaining: int, status: str, **kwargs: Any) -> None:
        self.stopped.append(status)


def test_complete_leaves_out_what_is_done(client: Client) -> None:
    done = client.map(inc, range(100, 104))
    shoal.wait(done)
    later = client.submit(block, 8)
    GATE.set()
    everything = Recorder([done, later])
    client.sync(everything.listen)
    assert everything.counts.all == 5
    only = Recorder([done], complete=False)
    client.sync(only.listen)
    assert only.counts.all == 0 and only.status == "finished"


def test_failures_are_told(client: Client) -> None:
    out = io.StringIO()
    bad = client.submit(fail, 3)
    bar = TextProgressBar([bad, client.submit(inc, 50)], file=out, multi=True)
    assert bar.status == "error"
    assert "100% Completed" in out.getvalue()
    assert {(row.label, row.failed) for row in bar.counts.rows} == {("fail", 1), ("inc", 0)}


def test_a_cancelled_future_ends_it(client: Client) -> None:
    future = client.submit(block, 77)
    bar = Recorder([future], interval="5ms")
    watching = threading.Thread(target=client.sync, args=(bar.listen,))
    watching.start()
    wait_until(lambda: bar.seen)
    client.cancel([future], force=True)
    watching.join(10)
    assert bar.stopped


def test_keys_addresses_and_groupings(client: Client) -> None:
    futures = client.map(inc, range(200, 204))
    shoal.wait(futures)
    address = client.scheduler.address
    by_address = Recorder([future.key for future in futures], scheduler=address)
    client.sync(by_address.listen)
    assert by_address.counts.all == 4
    by_client = Recorder([future.key for future in futures], by="key")
    client.sync(by_client.listen)
    assert len(by_client.counts.rows) == 4
    out = io.StringIO()
    progress(futures, group_by=lambda key: hash(key) % 1, file=out)
    assert "100%" in out.getvalue()
    with pytest.raises(ValueError, match="group_by="):
        progress(futures, group_by="spans")
    with pytest.raises(ValueError, match="needs futures"):
        progress()


def test_an_unknown_grouping_is_refused_by_the_scheduler(client: Client) -> None:
    with pytest.raises(ValueError, match="by= is one of"):
        client.sync(Recorder([client.submit(inc, 1)], by="colour").listen)


def test_asynchronous() -> None:
    async def main() -> None:
        async with (
            LocalCluster(processes=False, n_workers=1, asynchronous=True) as cluster,
            Client(cluster, asynchronous=True) as c,
        ):
            out = io.StringIO()
            future = c.submit(inc, 1)
            await progress(future, file=out)
            assert "100% Completed" in out.getvalue()
            assert future.done()

    run(main())


def test_a_widget(client: Client) -> None:
    widgets = pytest.importorskip("ipywidgets")
    shown = progress(client.map(inc, range(300, 310)), client.submit(fail, 4), notebook=True)
    assert isinstance(shown, widgets.VBox)
    wait_until(lambda: "Failed" in shown.children[0].value)
    names = {row.children[0].value: row.children[1] for row in shown.children[1:]}
    assert set(names) == {"inc", "fail"}
    assert names["inc"].value == 1 and names["inc"].bar_style == "success"
    assert names["fail"].bar_style == "danger"


def test_one_bar_for_all() -> None:
    pytest.importorskip("ipywidgets")
    widget = ProgressWidget(multi=False)
    widget.draw(Counts([Row("a", 1, 2, 0), Row("<b>", 1, 2, 0)], False), 1.0)
    (bar,) = widget._bars.values()
    assert bar[0].value == 0.5 and bar[1].value == "2 / 4"
    widget.stop("interrupted", 2.0)
    assert "Interrupted" in widget._title.value


def test_without_ipywidgets(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    with pytest.raises(ImportError, match=r"shoal\[jupyter\]"):
        progress(client.submit(inc, 1), notebook=True)
