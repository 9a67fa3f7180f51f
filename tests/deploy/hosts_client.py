"""What the clients of `test_hosts` run on their hosts: ``hosts_client.py ADDRESS PROGRAM``.

A program says "begun" when tasks run, and prints its result as its last line.
"""

from __future__ import annotations

import os
import select
import socket
import sys
import time
from typing import Any

from shoal import Client, get_worker


def slow_step(number: int, log: str, seconds: float) -> bytes:
    """Note that this ran, where, and return what is worth to be fetched."""
    with open(log, "a") as file:
        file.write(f"{number} {get_worker().name}\n")
    until = time.monotonic() + seconds
    while time.monotonic() < until:  # libfaketime breaks `time.sleep`
        select.select([], [], [], 0.01)
    return bytes([number % 251]) * 200_000


def total(*parts: bytes) -> int:
    """Reduce results of several hosts on one."""
    return sum(part[0] + len(part) for part in parts)


def where() -> tuple[str, int]:
    """Return the worker's host, and what its clock says."""
    return socket.gethostname(), int(time.time())


def many(client: Client, log: str) -> Any:
    """Sixty tasks that take 0.2 s each, and what combines the results of all."""
    steps = client.map(slow_step, range(60), log=log, seconds=0.2, pure=False)
    steps[0].result()
    print("begun")
    sums = [client.submit(total, *steps[i::7]) for i in range(7)]
    return sum(client.gather(sums)) == sum(i % 251 + 200_000 for i in range(60))


def large(client: Client, log: str) -> Any:
    """Values from each worker at the client, and from each worker at each other."""
    workers = list(client.scheduler_info()["workers"])
    print("begun")
    right = 0
    for each in workers:
        value = client.submit(slow_step, 7, log=log, seconds=0, workers=[each], pure=False)
        right += value.result() == bytes([7]) * 200_000
        for other in workers:
            right += client.submit(total, value, workers=[other], pure=False).result() == 200_007
    data = client.scatter(b"x" * 500_000)
    right += data.result() == b"x" * 500_000
    right += sorted(client.run(os.getpid)) == sorted(workers)
    return right == len(workers) * (1 + len(workers)) + 2


def hosts(client: Client, log: str) -> Any:
    """Where tasks run, and what the time is there."""
    workers = list(client.scheduler_info()["workers"])
    return sorted(client.submit(where, workers=[w], pure=False).result() for w in workers)


if __name__ == "__main__":
    address, program, log = sys.argv[1:]
    with Client(address) as client:
        client.wait_for_workers(1)
        print(globals()[program](client, log))
