"""What the machine itself takes for the steps of a task: the floors that docs/performance.md names.

    .venvs/bench-shoal/bin/python benchmarks/floors.py

Each step is measured as the best of several loops, in CPU time, so other programs disturb little.
"""

from __future__ import annotations

import asyncio
import pickle
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import msgspec

N = 20_000
REPEATS = 7


def best(
    loop: Callable[[], Any], n: int = N, clock: Callable[[], float] = time.thread_time
) -> float:
    """Return the microseconds that one of `n` steps of a loop takes."""
    times = []
    for _ in range(REPEATS):
        start = clock()
        loop()
        times.append(clock() - start)
    return 1e6 * min(times) / n


def inc(x: int) -> int:
    return x + 1


def pickled() -> None:
    """What a pool of processes cannot avoid: pickle, unpickle, call, pickle, unpickle."""
    for x in range(N):
        args = pickle.loads(pickle.dumps(((x,), None), 5))[0]
        pickle.loads(pickle.dumps(inc(*args), 5))


def plain() -> None:
    """The same as shoal does it for numbers: msgpack for arguments, the result in its message."""
    encode = msgspec.msgpack.Encoder().encode
    decode = msgspec.msgpack.Decoder(tuple).decode
    for x in range(N):
        inc(*decode(encode((x,))))


def called() -> None:
    for x in range(N):
        inc(x)


def columns() -> None:
    """Three messages of 500 keys each, written and read: about what a task is told of."""
    keys = [f"inc-{i:032x}" for i in range(500)]
    encode = msgspec.msgpack.Encoder().encode
    decode = msgspec.msgpack.Decoder(list[str]).decode
    for _ in range(N // 500):
        for _ in range(3):
            decode(encode(keys))


def hop() -> None:
    """Turns of an event loop with one callback each."""

    async def main() -> None:
        for _ in range(N):
            await asyncio.sleep(0)

    asyncio.run(main())


def across_threads(n: int = 2000) -> None:
    """To another thread and back, each waiting for the other."""
    there, back = threading.Lock(), threading.Lock()
    there.acquire()
    back.acquire()

    def answer() -> None:
        for _ in range(n):
            there.acquire()
            back.release()

    thread = threading.Thread(target=answer)
    thread.start()
    for _ in range(n):
        there.release()
        back.acquire()
    thread.join()


def through_a_socket(n: int = 2000) -> None:
    """A byte to another thread and back through sockets, both blocking."""
    here, there = socket.socketpair()

    def answer() -> None:
        for _ in range(n):
            there.send(there.recv(1))

    thread = threading.Thread(target=answer)
    thread.start()
    for _ in range(n):
        here.send(b"x")
        here.recv(1)
    thread.join()
    here.close()
    there.close()


def copied() -> float:
    """Return GB a second of copying 64 MiB."""
    source = bytearray(64 << 20)
    target = bytearray(64 << 20)
    view = memoryview(target)

    def copy() -> None:
        view[:] = source

    return len(source) / best(copy, 1) / 1e3


def main() -> None:
    wall = time.perf_counter
    print(f"pickle, unpickle, call, pickle, unpickle  {best(pickled):8.2f} us")
    print(f"the same as plain numbers                 {best(plain):8.2f} us")
    print(f"the call alone, and the loop              {best(called):8.2f} us")
    print(f"keys of three messages, both ways         {best(columns):8.2f} us")
    print(f"a turn of an asyncio loop                 {best(hop):8.2f} us")
    print(f"to a thread and back, wall                {best(across_threads, 2000, wall):8.2f} us")
    print(f"through a socket and back, wall           {best(through_a_socket, 2000, wall):8.2f} us")
    print(f"memory copied                             {copied():8.2f} GB/s")


if __name__ == "__main__":
    main()
