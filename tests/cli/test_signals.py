"""One signal closes, two end."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

pytestmark = pytest.mark.process

WAIT = """
import asyncio
from dask import config
from shoal._base.loop import new_event_loop
from shoal.cli.signals import wait_for_signals

async def main():
    waiting = asyncio.create_task(wait_for_signals())
    await asyncio.sleep(0)
    print("up", flush=True)
    print((await waiting).name, flush=True)
    if {hang}:
        while True:
            await asyncio.sleep(1)

config.set({{"distributed.admin.event-loop": "{kind}"}})
new_event_loop().run_until_complete(main())
"""

INSTALL = """
import asyncio
from shoal.cli.signals import install_signal_handlers

async def cleanup(signum):
    print("cleanup", int(signum), flush=True)

async def main():
    install_signal_handlers(cleanup=cleanup)
    print("up", flush=True)

loop = asyncio.new_event_loop()
loop.run_until_complete(main())
loop.run_forever()
print("stopped", flush=True)
"""


def start(script):
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "up\n"
    return child


KINDS = ["asyncio", "uvloop"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_the_first_signal_is_returned(name, kind):
    child = start(WAIT.format(hang=False, kind=kind))
    child.send_signal(signal.Signals[name])
    assert child.communicate(timeout=20)[0] == f"{name}\n"
    assert child.returncode == 0


@pytest.mark.parametrize("kind", KINDS)
def test_the_second_signal_ends_at_once(kind):
    child = start(WAIT.format(hang=True, kind=kind))
    child.send_signal(signal.SIGTERM)
    assert child.stdout.readline() == "SIGTERM\n"
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=20)
    assert child.returncode == 130


def test_handlers_clean_up_and_stop_the_loop():
    child = start(INSTALL)
    child.send_signal(signal.SIGTERM)
    assert child.communicate(timeout=20)[0] == "cleanup 15\nstopped\n"
    assert child.returncode == 0
