"""Programs of steps: killed and started again they go on where they were."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from shoal import durable
from shoal.cache.fingerprint import Unnamable

from .calls import Calls

CALLS = Calls()


def note(x: int) -> int:
    CALLS.append(x)
    return x + len(CALLS) * 100


def steps(folder: Path) -> list[int]:
    """A program from its start."""
    step = durable(folder, program="test")
    noted = step(note)
    return [noted(1), noted(1), noted(2), step.run(note, 3)]


def test_each_step_runs_once(tmp_path: Path) -> None:
    CALLS.clear()
    first = steps(tmp_path)
    assert steps(tmp_path) == first == [101, 201, 302, 403]
    assert CALLS == [1, 1, 2, 3]


def test_programs_of_other_names_have_steps_of_their_own(tmp_path: Path) -> None:
    CALLS.clear()
    for name in ("a", "b", "a"):
        durable(tmp_path, program=name).run(note, 1)
    assert len(CALLS) == 2
    assert durable(tmp_path, program="a").forget() == 1
    for name in ("a", "b"):
        durable(tmp_path, program=name).run(note, 1)
    assert len(CALLS) == 3


def test_coroutine_functions(tmp_path: Path) -> None:
    calls = []

    async def main() -> int:
        @durable(tmp_path)
        async def one(x: int) -> int:
            calls.append(x)
            return x

        return await one(1) + await one(2)

    assert asyncio.run(main()) == 3


def test_what_cannot_be_found_again_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unnamable, match="the step note"):
        durable(tmp_path).run(note, threading.Lock())


def test_a_store_that_fails_fails_the_program(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OSError):
        durable(tmp_path / "file" / "below").run(note, 1)


PROGRAM = """
import os, signal, sys
from shoal import durable

step = durable(sys.argv[1])
log = sys.argv[2]

@step
def work(i):
    with open(log, "a") as file:
        file.write(f"{i}\\n")
    return i * i

total = 0
for i in range(6):
    total += work(i)
    if i == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
print(total)
"""


@pytest.mark.process
def test_a_program_that_is_killed_goes_on_after_its_last_step(tmp_path: Path) -> None:
    program, log = tmp_path / "program.py", tmp_path / "log"
    program.write_text(PROGRAM)

    def run(dies_after: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(program), str(tmp_path / "steps"), str(log), str(dies_after)],
            capture_output=True,
            text=True,
            env=dict(os.environ),
        )

    for dies_after in (1, 2, 4):
        assert run(dies_after).returncode == -signal.SIGKILL
    done = run(-1)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "55"
    assert log.read_text().split() == list("012345")
