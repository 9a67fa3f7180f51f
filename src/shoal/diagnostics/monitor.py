"""`SystemMonitor`: what a process takes of its machine, measured now and then, from when somebody
first looks.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Any

import psutil

from shoal import config

__all__ = ["SystemMonitor"]


class SystemMonitor:
    """Measures this process: memory, processor, files, network and disk of its host.

    Parameters
    ----------
    maxlen : int, optional
        How many measurements are kept; ``distributed.admin.system-monitor.log-length`` by default.

    Attributes
    ----------
    quantities : dict of deque
        The measurements, oldest first: ``time``, ``cpu`` (percent of one core), ``memory``
        (bytes), ``num_fds``; and in bytes a second ``host_net_io.read_bps``,
        ``host_net_io.write_bps``, ``host_disk_io.read_bps``, ``host_disk_io.write_bps``.
    count : int
        How many measurements there were.

    Examples
    --------
    >>> monitor = SystemMonitor(maxlen=10)
    >>> monitor.update()["memory"] == monitor.get_process_memory()
    True
    >>> monitor.recent()["count"]
    1
    """

    def __init__(self, maxlen: int | None = None) -> None:
        name = "distributed.admin.system-monitor"
        self.maxlen = maxlen or config.get_int(f"{name}.log-length")
        self.proc = psutil.Process()
        self.count = 0
        self.quantities: dict[str, deque[float]] = {}
        self.last_time = time.time()
        self._interval = config.get_seconds(f"{name}.interval")
        self._before = _of_host(config.get_bool(f"{name}.disk"))
        self._with_disk = "host_disk_io" in self._before
        self._timer: asyncio.TimerHandle | None = None
        self.proc.cpu_percent()  # the next one is since this one

    def start(self) -> None:
        """Measure now and then, on the running loop."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._interval, self._measure)

    def close(self) -> None:
        """Measure no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _measure(self) -> None:
        self._timer = None
        self.update()
        self.start()

    def get_process_memory(self) -> int:
        """Return the bytes of memory that this process takes now."""
        return int(self.proc.memory_info().rss)

    def update(self) -> dict[str, float]:
        """Measure, and return what was measured."""
        now = time.time()
        seconds = max(now - self.last_time, 1e-3)
        found: dict[str, float] = {
            "time": now,
            "cpu": self.proc.cpu_percent(),
            "memory": self.get_process_memory(),
        }
        after = _of_host(self._with_disk)
        for kind, counters in after.items():
            for name, value in counters.items():
                rate = (value - self._before.get(kind, {}).get(name, value)) / seconds
                found[f"{kind}.{name.partition('_')[0]}_bps"] = rate
        if hasattr(self.proc, "num_fds"):
            found["num_fds"] = self.proc.num_fds()
        self._before, self.last_time = after, now
        self.count += 1
        for name, value in found.items():
            self.quantities.setdefault(name, deque(maxlen=self.maxlen)).append(value)
        return found

    def recent(self) -> dict[str, Any]:
        """Return the last measurement, and the `count` of all."""
        if not self.count:
            self.update()
        return {**{name: values[-1] for name, values in self.quantities.items()}, **self._number()}

    def range_query(self, start: int = 0) -> dict[str, Any]:
        """Return lists of all measurements from a number on, and the `count` of all."""
        left = max(0, min(self.count - start, self.maxlen))
        return {
            **{
                name: list(values)[max(0, len(values) - left) :]
                for name, values in self.quantities.items()
            },
            **self._number(),
        }

    def _number(self) -> dict[str, int]:
        return {"count": self.count}

    def __repr__(self) -> str:
        if not self.count:
            return "<SystemMonitor: nothing measured yet>"
        last = self.recent()
        return f"<SystemMonitor: cpu: {last['cpu']:.0f} % memory: {last['memory'] // 2**20} MiB>"


def _of_host(with_disk: bool) -> dict[str, dict[str, float]]:
    """Return what this host read and wrote so far, where that is known."""
    found: dict[str, dict[str, float]] = {}
    try:
        net = psutil.net_io_counters()
        found["host_net_io"] = {"read_bytes": net.bytes_recv, "write_bytes": net.bytes_sent}
        disk = psutil.disk_io_counters() if with_disk else None
    except (OSError, RuntimeError):  # containers that hide it
        return found
    if disk is not None:
        found["host_disk_io"] = {"read_bytes": disk.read_bytes, "write_bytes": disk.write_bytes}
    return found
