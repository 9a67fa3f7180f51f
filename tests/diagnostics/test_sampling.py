"""Looking at running threads cannot harm them."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
from typing import Any

import pytest
from helpers import wait_until

from shoal.diagnostics.sampling import undisturbed, watch

OLD = sys.version_info < (3, 12)

# Threads whose frames come and go, and garbage whose end lets go of the interpreter.
BUSY = """
import gc, os, sys, threading, time
from shoal.diagnostics.profile import add_stack, new_tree
from shoal.diagnostics.sampling import loop_stack, watch

class Odd:
    def __init__(self): self.me = self
    def __del__(self):
        if threading.current_thread().name == "shoal-profile": time.sleep(1e-4)

def leaf(n):
    odd = [Odd() for _ in range(3)]
    return n

def deep(n, v): return leaf(n) if n == 0 else deep(n - 1, [v])

def work():
    while True:
        for n in (300, 9, 170, 5, 60): deep(n, n)

looks = 0
tree = new_tree()

def look(frames):
    global looks
    for frame in frames.values(): add_stack(tree, loop_stack(frame))
    looks += 1
    return 1

sys.setswitchinterval(1e-4)
gc.set_threshold(700, 5, 5)
for _ in range(3): threading.Thread(target=work, daemon=True).start()
watch(look, 1e-4)
end = time.monotonic() + 20
while looks < 30 and time.monotonic() < end: time.sleep(0.1)
sys.stdout.write(f"looks: {looks}")
sys.stdout.flush()
os._exit(0 if looks else 3)
"""


@pytest.mark.process
def test_busy_threads_survive_being_looked_at() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", BUSY],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, (done.stdout, done.stderr[-3000:])


def test_the_collector_rests_during_a_look() -> None:
    seen: list[bool] = []

    def look(frames: Any) -> int:
        seen.append(gc.isenabled())
        return 1

    stop = watch(look, 0.001)
    wait_until(lambda: len(seen) > 2)
    stop()
    assert set(seen) == {not OLD}
    wait_until(gc.isenabled)


def test_who_turned_the_collector_off_finds_it_off() -> None:
    gc.disable()
    try:
        with undisturbed():
            assert not gc.isenabled()
        assert not gc.isenabled()
    finally:
        gc.enable()
    with undisturbed():
        assert gc.isenabled() is not OLD
    assert gc.isenabled() and threading.active_count()
