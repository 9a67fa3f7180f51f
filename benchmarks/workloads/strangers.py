"""What members notice of others' connections: round trips among idle and among short connections.

The connections are made by a process of its own, which knows no secret: none gets beyond the
handshake. Times are reported, and not judged: they depend on how many processors are left.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import systems
from accounting import Meter

from workloads.program import expect, run

TITLE = "submit to result beside 1,000 idle connections, and beside 100,000 short ones"
SYSTEMS = ["shoal"]
FIGURES = {
    "alone": ("ms, submit to result, median", "lower"),
    "idle": ("ms, median beside 1,000 idle connections", "lower"),
    "short": ("ms, median beside short connections", "lower"),
    "worst": ("ms, 99 of 100 beside short connections", "lower"),
    "connections": ("short connections in a second", "higher"),
}
HERE = Path(__file__).parents[1]
IDLE, SHORT, AT_ONCE, CALLS = 1_000, 100_000, 50, 500


def inc(x):
    """Return the next number."""
    return x + 1


async def be_strangers(host, port, kind):
    """Open connections and leave them; or open and close many, a few at a time."""
    if kind == "idle":
        held = []
        for _ in range(IDLE):
            held.append(await asyncio.open_connection(host, port))
        print("ready", flush=True)
        await asyncio.sleep(3600)

    async def some(count):
        for _ in range(count):
            try:
                _, writer = await asyncio.open_connection(host, port)
                writer.write(b"SHOAL\n" + os.urandom(100))
                writer.close()
                await writer.wait_closed()
            except OSError:
                await asyncio.sleep(0.01)

    print("ready", flush=True)
    start = time.perf_counter()
    await asyncio.gather(*[some(SHORT // AT_ONCE) for _ in range(AT_ONCE)])
    print(SHORT / (time.perf_counter() - start), flush=True)


def calls(system, goes_on):
    """Return the milliseconds from submitting tasks to their results."""
    times = []
    while len(times) < CALLS or goes_on():
        start = time.perf_counter()
        result = system.call(inc, len(times))
        times.append(1e3 * (time.perf_counter() - start))
        expect("the result", result, len(times))
    return times


def never():
    """Return that nothing goes on."""
    return False


def main(name):
    """Run it once on the system called `name`."""
    os.environ["DASK_SHOAL__LOCAL_PROTOCOL"] = "tcp"
    with systems.start(name) as system:
        address = system.client.scheduler_info()["address"]
        host, port = address.removeprefix("tcp://").rsplit(":", 1)

        def strangers(kind):
            command = [sys.executable, "-m", "workloads.strangers", host, port, kind]
            child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=HERE)
            expect("the strangers", child.stdout.readline().strip(), "ready")
            return child

        with Meter(system) as meter:
            figures = {"alone": statistics.median(calls(system, never))}
            idle = strangers("idle")
            figures["idle"] = statistics.median(calls(system, never))
            idle.kill()
            idle.wait()
            short = strangers("short")
            times = calls(system, lambda: short.poll() is None)
            figures["short"] = statistics.median(times)
            figures["worst"] = statistics.quantiles(times, n=100)[98]
            figures["connections"] = float(short.stdout.read())
    return figures | meter.figures(CALLS)


if __name__ == "__main__":
    if len(sys.argv) == 4:
        asyncio.run(be_strangers(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
    else:
        run(main)
