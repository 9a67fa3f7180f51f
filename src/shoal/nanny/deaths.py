"""How a process died, in words that a user can act on."""

from __future__ import annotations

import signal
from pathlib import Path

from dask.utils import format_bytes

from shoal.nanny.core import MemoryLimit

__all__ = ["count_oom_kills", "explain_death"]

_VMSTAT = Path("/proc/vmstat")

# The usual senders of these signals.
_SENDERS = {
    "SIGABRT": "native code gave up; its standard error may say why",
    "SIGBUS": "native code crashed, or a file it had mapped was cut off, or the disk is full",
    "SIGFPE": "native code crashed",
    "SIGILL": "native code made for another kind of processor, or a crash",
    "SIGSEGV": "native code crashed; its standard error has the stack",
    "SIGTERM": "somebody asked it to end",
    "SIGXCPU": "it used more processor time than it was allowed (ulimit -t)",
}


def explain_death(
    returncode: int,
    *,
    exceeded: int = 0,
    limit: MemoryLimit | None = None,
    used: int = 0,
    oom_kills: int | None = None,
    request: str = "",
) -> str:
    """Say how a process died.

    Parameters
    ----------
    returncode : int
        Exit code, or minus the number of the signal.
    exceeded : int
        Bytes that it used when the nanny ended it for that; 0 when it did not.
    limit : MemoryLimit, optional
        Its memory limit.
    used : int
        Bytes that it used when that was last measured, 0 when unknown.
    oom_kills : int, optional
        Processes that the kernel ended for want of memory during its life; None when unknown.
    request : str
        Why the nanny was asked to end it; empty when it was not.

    Examples
    --------
    >>> explain_death(3)
    'exit code 3 from os._exit or sys.exit'
    """
    if exceeded and limit is not None:
        return (
            f"exceeded {(limit.terminate or 0) * 100:.0f} % of its memory limit of "
            f"{format_bytes(limit.limit)} (it used {format_bytes(exceeded)})"
        )
    if request:
        return f"killed on request: {request}"
    text = _ended_by(returncode, oom_kills)
    if used:
        text += f"; it used {format_bytes(used)} shortly before"
    return text


def _ended_by(returncode: int, oom_kills: int | None) -> str:
    if returncode > 255:  # Windows: an exception's code
        return f"exit code 0x{returncode:08X}: a crash in native code, or ended by somebody"
    if returncode >= 0:
        return f"exit code {returncode} from os._exit or sys.exit"
    try:
        name = signal.Signals(-returncode).name
    except ValueError:
        name = "a real-time signal"
    text = f"killed by signal {-returncode} ({name})"
    if name == "SIGKILL":
        if oom_kills is None:
            text += ", perhaps by the kernel's out-of-memory killer"
        elif oom_kills:
            text += ", very likely by the kernel's out-of-memory killer"
    elif name in _SENDERS:
        text += f": {_SENDERS[name]}"
    return text


def count_oom_kills() -> int | None:
    """Return how many processes the kernel ended so far for want of memory; None when unknown."""
    try:
        for line in _VMSTAT.read_text(encoding="ascii").splitlines():
            name, _, value = line.partition(" ")
            if name == "oom_kill":
                return int(value)
    except (OSError, ValueError):
        pass
    return None
