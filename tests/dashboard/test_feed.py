"""Frames: what viewers are told, that all are told the same, and that nobody is told nothing."""

from __future__ import annotations

import asyncio
import struct
from typing import Any

import dask
import pytest
from dashboard.conftest import PageViewer
from helpers import run, until

from shoal import Client, Scheduler, Worker
from shoal.dashboard.collector import STATES, WORKER_NUMBERS
from shoal.dashboard.feed import Feed

HOSTILE = "prefix <script>alert('x')</script>"


def double(x: int) -> int:
    return 2 * x


def fail(x: int) -> None:
    raise ValueError(HOSTILE)


def floats(column: bytes, kind: str = "f") -> list[float]:
    return list(struct.unpack(f"<{len(column) // struct.calcsize(kind)}{kind}", column))


def counts_of(rows: dict[str, Any]) -> list[dict[str, float]]:
    columns = [floats(column, "d") for column in rows["columns"][: len(STATES)]]
    return [dict(zip(STATES, row, strict=True)) for row in zip(*columns, strict=True)]


def test_a_viewer_is_told_all_and_then_what_changed() -> None:
    async def main() -> None:
        async with (
            Scheduler(protocol="inproc", dashboard_address=":0") as s,
            Worker(s.address, name=HOSTILE, nthreads=3),
            Client(s.address, asynchronous=True, set_as_default=False) as c,
        ):
            await c.gather(c.map(double, range(5), key="before"))
            viewer = await PageViewer.look(s)
            full = await viewer.frame()
            assert (full["kind"], full["id"]) == ("full", s.id)
            assert [each["name"] for each in full["workers"]] == [HOSTILE]
            assert full["workers"][0]["threads"] == 3
            assert len(full["worker_rows"]["columns"]) == len(WORKER_NUMBERS)
            futures = c.map(double, range(7))
            bad = c.submit(fail, 1, key=f"{HOSTILE}-1")
            await c.gather([*futures, bad], errors="skip")
            prefixes, keys, seen = list(full["prefixes"]), [], 0
            told: dict[str, dict[str, float]] = {}
            while len(keys) < 8 or told.get("double", {}).get("memory") != 7:
                delta = await viewer.frame()
                assert delta["kind"] == "delta"
                prefixes += delta.get("prefixes", [])
                keys += delta.get("stream", {}).get("keys", [])
                seen = max(seen, delta["seen"])
                if "prefix_rows" in delta:
                    numbers = floats(delta["prefix_rows"]["number"], "I")
                    for number, row in zip(numbers, counts_of(delta["prefix_rows"]), strict=True):
                        told[prefixes[int(number)]] = row
            assert set(keys) == {*(f.key for f in futures), bad.key} and seen == 8
            assert told[HOSTILE]["erred"] == 1
            assert delta["totals"]["workers"] == 1 and delta["totals"]["threads"] == 3
            await viewer.leave()

    run(main())


def test_workers_come_and_go() -> None:
    async def main() -> None:
        async with (
            Scheduler(protocol="inproc", dashboard_address=":0") as s,
            Worker(s.address, name="stays"),
        ):
            viewer = await PageViewer.look(s)
            full = await viewer.frame()
            assert [each["name"] for each in full["workers"]] == ["stays"]
            async with Worker(s.address, name="guest"):
                while "came" not in (frame := await viewer.frame()):
                    pass
                assert [each["name"] for each in frame["came"]] == ["guest"]
                number = frame["came"][0]["number"]
            while "went" not in (frame := await viewer.frame()):
                pass
            assert frame["went"] == [number]
            assert [fault["action"] for fault in frame["faults"]] == ["remove-worker"]
            assert frame["totals"]["workers"] == 1
            await viewer.leave()

    run(main())


def test_all_viewers_get_the_same_frames_and_no_viewer_costs_nothing() -> None:
    async def main() -> None:
        async with Scheduler(protocol="inproc", dashboard_address=":0") as s:
            assert not s.stream_record.on
            viewers = [await PageViewer.look(s) for _ in range(3)]
            assert [(await viewer.frame())["kind"] for viewer in viewers] == ["full"] * 3
            first = await viewers[0].frame()
            for viewer in viewers[1:]:
                frames = [await viewer.frame() for _ in range(2)]
                assert first in frames or first["now"] < frames[0]["now"]
            assert s.stream_record.on
            for viewer in viewers:
                await viewer.leave()
            await until(lambda: not s.stream_record.on)

    run(main())


class SlowViewer:
    """Reads nothing for a while."""

    def __init__(self) -> None:
        self.waiting = 0
        self.shown: list[bytes] = []

    def show(self, frame: bytes) -> None:
        self.shown.append(frame)

    def unread(self) -> int:
        return self.waiting


def test_a_viewer_that_does_not_read_is_told_all_anew_when_it_does() -> None:
    async def main() -> None:
        async with Scheduler(protocol="inproc") as s:
            feed, viewer = Feed(s), SlowViewer()
            feed.join(viewer)
            await until(lambda: len(viewer.shown) >= 2)
            viewer.waiting = 2**30
            before = len(viewer.shown)
            await asyncio.sleep(0)
            other = SlowViewer()
            feed.join(other)
            await until(lambda: len(other.shown) >= 2)
            assert len(viewer.shown) == before
            viewer.waiting = 0
            await until(lambda: len(viewer.shown) > before)
            assert b"\xa4full" in viewer.shown[before][:20]
            feed.leave(viewer)
            feed.leave(other)
            assert len(feed) == 0 and not s.stream_record.on

    run(main())


def test_a_frame_that_fails_is_not_the_last(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with Scheduler(protocol="inproc") as s:
            feed, viewer = Feed(s), SlowViewer()
            feed.join(viewer)
            await until(lambda: bool(viewer.shown))
            with monkeypatch.context() as broken:
                broken.setattr("shoal.dashboard.collector.Collector.delta", None)
                await until(lambda: "could not be made" in caplog.text)
            before = len(viewer.shown)
            await until(lambda: len(viewer.shown) > before)
            feed.leave(viewer)

    run(main())


def test_only_who_may_see_the_pages_sees_frames() -> None:
    async def main() -> None:
        with dask.config.set(
            {"shoal.dashboard.login": True, "shoal.secret": "0123456789abcdef" * 4}
        ):
            async with Scheduler(protocol="inproc", dashboard_address=":0") as s:
                with pytest.raises(Exception, match="401"):
                    await PageViewer.look(s)

    run(main())
