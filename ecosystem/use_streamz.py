"""streamz: a stream whose elements are scattered, worked on by workers, and gathered."""

from __future__ import annotations

import asyncio

from harness import Report, quick
from streamz import Stream

ELEMENTS = 100 if quick() else 2000


def inc(x: int) -> int:
    return x + 1


def add(total: int, x: int) -> int:
    return total + x


async def work() -> list[int]:
    from distributed import Client, LocalCluster

    async with (
        LocalCluster(2, 1, dashboard_address=":0", asynchronous=True) as cluster,
        Client(cluster, asynchronous=True),
    ):
        source = Stream(asynchronous=True)
        seen: list[int] = []
        source.scatter().map(inc).accumulate(add, start=0).buffer(20).gather().sink(seen.append)
        for i in range(ELEMENTS):
            await source.emit(i)
        while len(seen) < ELEMENTS:
            await asyncio.sleep(0.005)
        return seen


def main() -> None:
    report = Report("streamz", f"scatter, map, accumulate, gather of {ELEMENTS} elements")
    seen = report.timed(lambda: asyncio.run(work()))
    assert seen == [(i + 1) * (i + 2) // 2 for i in range(ELEMENTS)]
    report.done()


if __name__ == "__main__":
    main()
