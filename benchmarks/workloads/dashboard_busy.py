"""What ten viewers add to a scheduler that 2,000 stub workers keep busy.

The incumbent is not measured: a stub of its worker could not be written without reading its source.
"""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.request

import systems
from accounting import cpu_seconds

from workloads.program import expect, run

TITLE = "the dashboard of 2,000 stub workers at work, ten viewers"
SYSTEMS = ["shoal"]
FIGURES = {
    "alone": ("% of a core, nobody looks", "lower"),
    "looked_at": ("% of a core, ten viewers", "lower"),
    "bytes": ("kB/s to one viewer", "lower"),
    "tasks": ("tasks/s with viewers", "higher"),
}
STUBS, VIEWERS, TASKS = 2_000, 10, 50_000

VIEWER = """
import asyncio, sys
from tornado.websocket import websocket_connect

async def main(url, count):
    sockets = [await websocket_connect(url) for _ in range(count)]
    print("ready", flush=True)
    taken = 0
    async def look(socket):
        nonlocal taken
        while (message := await socket.read_message()) is not None:
            taken += len(message)
    tasks = [asyncio.ensure_future(look(socket)) for socket in sockets]
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    print(taken, flush=True)

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


def nothing(x):
    """Never run: stub workers run nothing."""


def main(name):
    """Measure rounds without viewers, then with."""
    with systems.start(name, workers=0) as system:
        roles = system.roles()
        pids = roles["scheduler"]
        address = system.client.scheduler_info()["address"]
        command = [sys.executable, "-m", "workloads.stub_workers", address, str(STUBS)]
        stubs = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        viewers = None
        try:
            expect("the stub workers", stubs.stdout.readline(), "ready\n")
            system.client.wait_for_workers(STUBS, timeout=60)
            link = system.client.dashboard_link.partition("/status")[0]
            urllib.request.urlopen(f"{link}/health").read()
            round_of(system, pids, 0)
            alone = [round_of(system, pids, 10 + i) for i in range(3)]
            url = f"{link.replace('http', 'ws', 1)}/feed"
            viewers = subprocess.Popen(
                [sys.executable, "-c", VIEWER, url, str(VIEWERS)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            expect("the viewers", viewers.stdout.readline(), "ready\n")
            start = time.perf_counter()
            looked_at = [round_of(system, pids, 20 + i) for i in range(3)]
            seconds = time.perf_counter() - start
            taken = int(viewers.communicate("\n")[0])
        finally:
            for process in (viewers, stubs):
                if process is not None:
                    process.kill()
                    process.wait()
    # CPU a task, so that a rate that differs does not count as a cost.
    before, after = min(cpu for cpu, _ in alone), min(cpu for cpu, _ in looked_at)
    rate = max(rate for _, rate in looked_at)
    return {
        "alone": 100 * before * rate,
        "looked_at": 100 * after * rate,
        "bytes": taken / VIEWERS / seconds / 1e3,
        "tasks": rate,
    }


def round_of(system, pids, number):
    """Return the CPU seconds of the scheduler a task, and tasks a second."""
    before, start = sum(map(cpu_seconds, pids)), time.perf_counter()
    results, _ = system.map(nothing, range(number * TASKS, (number + 1) * TASKS))
    seconds = time.perf_counter() - start
    expect("map", len(results), TASKS)
    return (sum(map(cpu_seconds, pids)) - before) / TASKS, TASKS / seconds


if __name__ == "__main__":
    run(main)
