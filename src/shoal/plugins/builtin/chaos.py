"""`KillWorker`: workers that die, for those who test how their work survives it."""

from __future__ import annotations

import ctypes
import os
import random
from typing import TYPE_CHECKING

from dask.utils import parse_timedelta

from shoal.plugins.worker import WorkerPlugin

if TYPE_CHECKING:
    from shoal.worker.worker import Worker

__all__ = ["KillWorker"]

_MODES = ("sys.exit", "graceful", "segfault")


class KillWorker(WorkerPlugin):
    """Have workers die at random.

    Parameters
    ----------
    delay : str or float
        How long a worker lives on average; the times are those of a Poisson process.
    mode : {"sys.exit", "graceful", "segfault"}
        How it dies: its process ends at once, it closes, or it crashes.

    Examples
    --------
    >>> client.register_plugin(KillWorker(delay="10 s"))  # doctest: +SKIP
    """

    def __init__(self, delay: str | float = "100 s", mode: str = "sys.exit") -> None:
        if mode not in _MODES:
            raise ValueError(f"mode= is one of {', '.join(_MODES)}, got {mode!r}")
        self.delay = float(parse_timedelta(delay))
        self.mode = mode

    def setup(self, worker: Worker) -> None:
        """Draw when it is to die."""
        seconds = random.expovariate(1 / self.delay) if self.delay > 0 else 0.0
        worker.loop.asyncio_loop.call_later(seconds, self._kill, worker)

    def _kill(self, worker: Worker) -> None:
        if self.mode == "graceful":
            worker.background(worker.close_gracefully(reason="KillWorker wants it to die"))
        elif self.mode == "segfault":
            ctypes.string_at(0)
        else:
            os._exit(0)
