"""Deaths in words."""

from __future__ import annotations

import sys

import pytest

from shoal.nanny.core import MemoryLimit
from shoal.nanny.deaths import count_oom_kills, explain_death

GIB = 2**30


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"returncode": 3}, "exit code 3 from os._exit or sys.exit"),
        (
            {"returncode": 3, "used": GIB},
            "exit code 3 from os._exit or sys.exit; it used 1.00 GiB shortly before",
        ),
        ({"returncode": 0}, "exit code 0 from os._exit or sys.exit"),
        (
            {"returncode": -9},
            "killed by signal 9 (SIGKILL), perhaps by the kernel's out-of-memory killer",
        ),
        ({"returncode": -9, "oom_kills": 0}, "killed by signal 9 (SIGKILL)"),
        (
            {"returncode": -9, "oom_kills": 1, "used": 3 * GIB},
            "killed by signal 9 (SIGKILL), very likely by the kernel's out-of-memory killer; "
            "it used 3.00 GiB shortly before",
        ),
        (
            {"returncode": -11, "used": GIB},
            "killed by signal 11 (SIGSEGV): native code crashed; its standard error has the stack; "
            "it used 1.00 GiB shortly before",
        ),
        ({"returncode": -15}, "killed by signal 15 (SIGTERM): somebody asked it to end"),
        ({"returncode": -40}, "killed by signal 40 (a real-time signal)"),
        (
            {"returncode": 0xC0000005},
            "exit code 0xC0000005: a crash in native code, or ended by somebody",
        ),
        (
            {"returncode": -9, "exceeded": 4 * GIB, "limit": MemoryLimit(4 * GIB, 0.95)},
            "exceeded 95 % of its memory limit of 4.00 GiB (it used 4.00 GiB)",
        ),
        ({"returncode": -9, "request": "restart"}, "killed on request: restart"),
    ],
)
def test_deaths(arguments, text):
    assert explain_death(**arguments) == text


@pytest.mark.skipif(sys.platform != "linux", reason="from /proc")
def test_kills_of_the_kernel_are_counted(tmp_path, monkeypatch):
    kills = count_oom_kills()
    assert kills is None or kills >= 0
    file = tmp_path / "vmstat"
    file.write_text("nr_free_pages 5\noom_kill 7\n")
    monkeypatch.setattr("shoal.nanny.deaths._VMSTAT", file)
    assert count_oom_kills() == 7
    file.unlink()
    assert count_oom_kills() is None
