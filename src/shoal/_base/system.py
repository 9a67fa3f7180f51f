"""The memory of this machine, and how it is shared out to workers. Cores: `dask.system`."""

from __future__ import annotations

import math
import sys
from functools import cache
from pathlib import Path

import psutil
from dask.system import CPU_COUNT
from dask.utils import parse_bytes

from shoal._base.process_memory import taken

__all__ = ["CPU_COUNT", "memory_available", "memory_free", "parse_memory_limit"]

# Files that hold a memory limit of this process's container, cgroups version 2 and 1.
_CGROUP_2 = Path("/sys/fs/cgroup")
_CGROUP_1 = Path("/sys/fs/cgroup/memory/memory.limit_in_bytes")
_OWN_CGROUP = Path("/proc/self/cgroup")


@cache
def memory_available() -> int:
    """Return the bytes of memory that this process may use.

    The least of the machine's memory, the limit of its container (cgroups 1 and 2) and the limit of
    the process (``ulimit -m`` or ``-v``).
    """
    limits = [psutil.virtual_memory().total, *_cgroup_limits(), *_process_limits()]
    return min(limit for limit in limits if limit > 0)


def memory_free() -> int:
    """Return the bytes of memory that this process may take more, as things are."""
    return max(0, min(psutil.virtual_memory().available, memory_available() - taken()))


_LEAST = 32 << 20  # bytes; a worker without any data takes about twice as many


def parse_memory_limit(
    limit: str | float | None, nthreads: int, total_cores: int = CPU_COUNT
) -> int | None:
    """Return a worker's memory limit in bytes, None for no limit.

    Parameters
    ----------
    limit : str, float, int or None
        ``"auto"`` for the worker's share by threads, a size such as ``"4 GiB"``, a number of bytes,
        a fraction of the memory (a float up to 1), or 0, None, ``"0"`` or ``"none"`` for no limit.
    nthreads : int
        The worker's threads.
    total_cores : int
        The machine's cores; ``"auto"`` gives each worker the share of its threads in them.

    Raises
    ------
    ValueError
        When `limit` is none of these, or so small that it must be a mistake.

    Examples
    --------
    >>> parse_memory_limit("2 GB", nthreads=1)
    2000000000
    """
    if limit is None or (isinstance(limit, str) and limit.strip().lower() in ("none", "0")):
        return None
    total = memory_available()
    if limit == "auto":
        return int(total * min(1.0, nthreads / total_cores))
    try:
        number = float(limit)
        if isinstance(limit, str) and "." not in limit:
            number = int(limit)
    except (TypeError, ValueError):
        try:
            size = parse_bytes(limit) if limit else -1
        except (TypeError, ValueError, LookupError, AttributeError):
            size = -1
    else:
        fraction = isinstance(number, float) and not isinstance(limit, int) and 0 < number <= 1
        size = int(number * total) if fraction else _whole(number)
    if size < 0 or isinstance(limit, bool):
        raise ValueError(
            f"memory_limit={limit!r} is not a memory limit; give a size such as '4 GiB', a number "
            "of bytes, a fraction of the memory such as 0.5, 'auto', or 0 for none"
        )
    if 0 < size < _LEAST:
        raise ValueError(
            f"memory_limit={limit!r} is {size:,} bytes, in which no worker can live: Python alone "
            f"takes more than {_LEAST >> 20} MiB; give the unit, as in '4 GiB'"
        )
    return min(size, total) or None


def _whole(number: float) -> int:
    return int(number) if math.isfinite(number) else -1


def _cgroup_limits() -> list[int]:
    files = [_CGROUP_1]
    for line in _read(_OWN_CGROUP).splitlines():
        hierarchy, _, group = line.split(":", 2) if line.count(":") >= 2 else ("", "", "")
        if hierarchy == "0":
            folder = _CGROUP_2 / group.strip("/")
            # A limit of any group above holds too.
            files += [each / "memory.max" for each in (folder, *folder.parents)]
    texts = [_read(file).strip() for file in files if file.is_relative_to(_CGROUP_2)]
    return [int(text) for text in texts if text.isdigit()]


def _process_limits() -> list[int]:
    if sys.platform == "win32":
        return []
    import resource

    kinds = [getattr(resource, name, None) for name in ("RLIMIT_RSS", "RLIMIT_AS")]
    limits = [resource.getrlimit(kind)[0] for kind in kinds if kind is not None]
    return [limit for limit in limits if limit != resource.RLIM_INFINITY]


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii")
    except (OSError, ValueError):
        return ""
