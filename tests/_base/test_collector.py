"""The collector looks when it is quiet, and only then."""

from __future__ import annotations

import asyncio
import gc

import pytest

from shoal._base import collector


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
