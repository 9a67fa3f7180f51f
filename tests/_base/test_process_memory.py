"""What a process takes, its peak, and what is given back."""

from __future__ import annotations

import mmap
import os
import sys
from pathlib import Path

import psutil
import pytest

from shoal._base.process_memory import PeakMeter, collect_garbage, resident, taken, trim

SIZE = 64 << 20
linux = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's own numbers")


def test_what_is_allocated_counts() -> None:
    before = taken()
    held = bytearray(SIZE)
    held[::4096] = b"x" * len(held[::4096])
    assert taken() - before > SIZE * 0.9
    assert taken(os.getpid()) > SIZE
    assert resident() >= taken() * 0.9


@linux
def test_pages_of_files_do_not_count(tmp_path: Path) -> None:
    file = tmp_path / "large"
    file.write_bytes(bytes(SIZE))
    before, resident_before = taken(), resident()
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as m:
        assert sum(m[i] for i in range(0, SIZE, 4096)) == 0
        assert taken() - before < SIZE // 4
        assert resident() - resident_before > SIZE // 2


@linux
def test_the_peak_begins_anew_when_it_was_read() -> None:
    meter = PeakMeter()
    base = meter.read()
    held = bytearray(SIZE)
    held[::4096] = b"x" * len(held[::4096])
    del held
    assert meter.read() - base > SIZE * 0.9
    assert meter.read() - base < SIZE * 0.5


def test_a_process_that_is_gone() -> None:
    with pytest.raises(psutil.NoSuchProcess):
        taken(2**22 - 3)


def test_giving_back_does_no_harm() -> None:
    trim()
    collect_garbage()
