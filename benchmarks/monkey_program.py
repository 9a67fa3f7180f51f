"""The program that runs under the monkey of `benchmarks.monkey`: the same on each system.

`python monkey_program.py SYSTEM ADDRESS ROUNDS FILE`, in the environment of that system. Rounds of
trees, 121 tasks of 50 ms each. Every run of a task leaves a line in the file, so that what runs
again can be counted. The last line printed says what came of it.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any

LEAVES, FAN = 100, 5
SECONDS = 0.05


def note(path: str, name: str) -> None:
    """Leave a line: short ones are written whole, whoever else writes."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, f"{name}\n".encode())
    os.close(fd)


def leaf(path: str, round: int, i: int) -> list[int]:
    note(path, f"leaf-{round}-{i}")
    time.sleep(SECONDS)
    return [i] * 1000


def join(path: str, name: str, *parts: Any) -> list[int]:
    note(path, name)
    time.sleep(SECONDS)
    return [sum(column) for column in zip(*parts, strict=True)]


def run_rounds(
    submit: Callable[..., Any], get: Callable[[Any], Any], rounds: int, path: str
) -> int:
    """Compute; return how many rounds were wrong."""
    wrong = 0
    for round in range(rounds):
        leaves = [submit(leaf, path, round, i) for i in range(LEAVES)]
        middle = [
            submit(join, path, f"join-{round}-{i}", *leaves[i : i + FAN])
            for i in range(0, LEAVES, FAN)
        ]
        total = get(submit(join, path, f"total-{round}", *middle))
        wrong += total != [LEAVES * (LEAVES - 1) // 2] * 1000
    return wrong


def main() -> None:
    system, address, rounds, path = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
    submit: Callable[..., Any]
    if system == "ray":
        import ray

        ray.init(address=address, log_to_driver=False)
        remote = {function: ray.remote(function) for function in (leaf, join)}
        submit, get = lambda f, *args: remote[f].remote(*args), ray.get
    else:
        if system == "dask":
            from distributed import Client
        else:
            from shoal import Client
        client = Client(address)
        client.wait_for_workers(2, timeout=60)
        submit, get = lambda f, *args: client.submit(f, *args), lambda future: future.result()
    print("BEGIN", flush=True)
    began = time.monotonic()
    try:
        wrong = run_rounds(submit, get, rounds, path)
    except BaseException as error:
        print(f"END error {type(error).__name__} {time.monotonic() - began:.1f}", flush=True)
        os._exit(1)
    print(f"END {'wrong' if wrong else 'right'} - {time.monotonic() - began:.1f}", flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
