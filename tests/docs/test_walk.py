"""The walk of one call, as the page on the architecture lists it, is the one that calls take."""

from __future__ import annotations

import re
import sys
import threading
from types import FrameType
from typing import Any

import pytest
from helpers import ROOT, SOURCE, wait_until

from shoal import Client, LocalCluster

STOP = re.compile(r"^\| `(?P<file>[\w/]+\.py)` `(?P<function>[\w.]+)` \|", re.M)


def listed() -> list[tuple[str, str]]:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = page.partition("<!-- walk -->")[2].partition("\n\n")[0]
    return [(stop["file"], stop["function"]) for stop in STOP.finditer(table)]


class Walk:
    """Which functions of shoal were called, in the order of their first calls."""

    def __init__(self) -> None:
        self.on = False
        self.passed: dict[tuple[str, str], int] = {}

    def note(self, frame: FrameType, event: str, argument: Any) -> None:
        if not self.on or event != "call":
            return
        code = frame.f_code
        file = code.co_filename
        if file.startswith(str(SOURCE)):
            stop = file[len(str(SOURCE)) + 1 :], code.co_qualname
            self.passed.setdefault(stop, len(self.passed))


@pytest.fixture
def walk() -> Any:
    walk = Walk()
    before, threads_before = sys.getprofile(), threading.getprofile()
    threading.setprofile(walk.note)
    yield walk
    threading.setprofile(threads_before)  # type: ignore[arg-type]
    sys.setprofile(before)


def test_a_call_passes_the_stops_that_are_listed(walk):
    def add_one(x: int) -> int:
        return x + 1

    with (
        LocalCluster(n_workers=1, threads_per_worker=1, processes=False, protocol="tcp") as cluster,
        Client(cluster) as client,
    ):
        assert client.submit(add_one, 1).result() == 2  # what happens once only has happened
        wait_until(lambda: not client._session.outbox and not client._session.one_by_one.on)
        sys.setprofile(walk.note)
        walk.on = True
        assert client.submit(add_one, 2).result() == 3
        walk.on = False
        sys.setprofile(None)
    stops = listed()
    assert len(stops) > 30
    missed = [stop for stop in stops if stop not in walk.passed]
    assert not missed, f"a call does not pass {missed}"
    order = [walk.passed[stop] for stop in stops]
    late = [stop for stop, here, after in zip(stops, order, order[1:]) if here > after]
    assert not late, f"these come after what is listed next: {late}"


def test_each_stop_does_something():
    """No file of the walk only hands on: it has more than imports, names and single calls."""
    for file, _ in listed():
        text = (SOURCE / file).read_text(encoding="utf-8")
        code = [line for line in text.splitlines() if line.strip() and "import" not in line]
        assert len(code) > 40, f"{file} is hardly more than a door"
