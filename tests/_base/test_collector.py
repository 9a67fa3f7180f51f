"""The collector looks when it is quiet, and not while it is paused."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Iterator

import pytest

from shoal._base import collector
from shoal._base.collector import CollectorPaused


def test_it_looks_when_it_is_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector, "_PAUSE", 0.001)
    monkeypatch.setattr(collector, "_WORTH", -1)
    asked: list[int] = []
    looks: list[str] = []

    def is_quiet() -> bool:
        asked.append(len(looks))
        return len(asked) > 3

    def note(phase: str, info: dict[str, int]) -> None:
        looks.append(phase)

    async def main() -> None:
        collector.collect_when_quiet(is_quiet)
        assert gc.get_threshold()[0] == 0
        async with asyncio.timeout(10):
            while not looks:
                await asyncio.sleep(0)

    before = gc.get_threshold()
    gc.callbacks.append(note)
    try:
        asyncio.run(main())
    finally:
        gc.callbacks.remove(note)
        gc.set_threshold(*before)
        gc.unfreeze()
    assert asked[:4] == [0, 0, 0, 0]


@pytest.fixture
def enabled() -> Iterator[None]:
    was = gc.isenabled()
    gc.enable()
    yield
    (gc.enable if was else gc.disable)()


@pytest.mark.usefixtures("enabled")
def test_the_last_to_leave_enables_it_again() -> None:
    inside, leave = threading.Event(), threading.Event()

    def other() -> None:
        with CollectorPaused():
            inside.set()
            assert leave.wait(20)

    thread = threading.Thread(target=other)
    with CollectorPaused(), CollectorPaused():
        thread.start()
        assert inside.wait(20)
        assert not gc.isenabled()
    assert not gc.isenabled()
    leave.set()
    thread.join()
    assert gc.isenabled()


@pytest.mark.usefixtures("enabled")
def test_errors_enable_it_again() -> None:
    with pytest.raises(ValueError, match="no"), CollectorPaused():
        raise ValueError("no")
    assert gc.isenabled()


@pytest.mark.usefixtures("enabled")
def test_who_has_it_disabled_keeps_it_so() -> None:
    gc.disable()
    with CollectorPaused():
        pass
    assert not gc.isenabled()
