"""Many connections leave nothing in a process whose collector is off. Counts and sizes, not times.

`SHOAL_TEST_CONNECTIONS=100000` is the number that is promised; by default it is fewer, and what one
leaves shows as well.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest

pytestmark = [pytest.mark.process, pytest.mark.timeout(1800)]

NUMBER = int(os.environ.get("SHOAL_TEST_CONNECTIONS", "1500"))

SERVER = """
import asyncio, gc, json, sys
gc.disable()
import logging, psutil
from shoal._base.loop import new_event_loop
from shoal.core import Server
logging.getLogger("shoal").setLevel(logging.CRITICAL)
process = psutil.Process()

async def main():
    async with Server({}) as server:
        await server.listen(sys.argv[1])
        print(server.address, flush=True)
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            while len(server._comms) or len(server.listeners[0]._handshakes):
                await asyncio.sleep(0.01)
            found = {"objects": len(gc.get_objects()), "rss": process.memory_info().rss}
            print(json.dumps({**found, "open": process.num_fds()}), flush=True)

new_event_loop().run_until_complete(main())
"""

CLIENT = """
import asyncio, socket, sys
address, kind, number = sys.argv[1], sys.argv[2], int(sys.argv[3])

def refused():
    host, port = address.removeprefix("tcp://").rsplit(":", 1)
    for i in range(number):
        with socket.create_connection((host, int(port))) as stranger:
            if i % 3:  # and some that say nothing
                stranger.sendall(b"SHOAL\\n\\x02\\x00\\x04\\x00\\x40\\x00" + bytes(64))
                stranger.recv(100)

async def accepted():
    from shoal.comm import connect
    for _ in range(number):
        comm = await connect(address)
        await comm.write({"op": "echo", "data": {1, 2}})
        await comm.read()
        await comm.close()

refused() if kind == "refused" else asyncio.run(accepted())
"""


@pytest.mark.parametrize("kind", ["refused", "accepted"])
@pytest.mark.parametrize("loop", ["auto", "asyncio"])
def test_connections_leave_nothing(kind: str, loop: str) -> None:
    environment = {**os.environ, "DASK_DISTRIBUTED__ADMIN__EVENT_LOOP": loop}
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, "tcp://127.0.0.1:0"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert server.stdin is not None and server.stdout is not None

    def after(number: int) -> dict[str, int]:
        command = [sys.executable, "-c", CLIENT, address, kind, str(number)]
        subprocess.run(command, check=True, timeout=1700)
        return look()

    def look() -> dict[str, int]:
        assert server.stdin is not None and server.stdout is not None
        server.stdin.write("look\n")
        server.stdin.flush()
        found: dict[str, int] = json.loads(server.stdout.readline())
        return found

    try:
        address = server.stdout.readline().strip()
        before = after(300)  # whatever is made once
        now = after(NUMBER)
        # The last connections may be closing still.
        deadline = time.monotonic() + 10
        while now["objects"] - before["objects"] >= NUMBER // 20 and time.monotonic() < deadline:
            now = look()
    finally:
        server.stdin.close()
        server.stdout.close()
        server.wait(30)
    assert now["objects"] - before["objects"] < NUMBER // 20
    assert now["open"] - before["open"] < 5
    assert now["rss"] - before["rss"] < 4e6 + 400 * NUMBER // 10
