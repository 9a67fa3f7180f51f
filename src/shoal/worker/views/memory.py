"""`WorkerMemoryManager`: what a worker does about its memory, as others read it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shoal import config

if TYPE_CHECKING:
    from shoal.worker.context import WorkerContext

__all__ = ["WorkerMemoryManager"]


class WorkerMemoryManager:
    """Limits of a worker's memory, and its data.

    Parameters
    ----------
    worker : Worker
        The worker.
    """

    __slots__ = ("_worker",)

    def __init__(self, worker: WorkerContext) -> None:
        self._worker = worker

    @property
    def data(self) -> Any:
        """The values that the worker holds, by the users' keys."""
        return self._worker.data

    @property
    def memory_limit(self) -> int | None:
        """Bytes; None for no limit."""
        return self._worker.memory_limit or None

    @property
    def memory_target_fraction(self) -> float | bool:
        """Part of the limit that values may take in memory; False: any."""
        return self._worker.machine.state.settings.memory_target or False

    @property
    def memory_spill_fraction(self) -> float | bool:
        """Part of the limit from which on the process has values go to disk; False: never."""
        return self._worker.machine.state.settings.memory_spill or False

    @property
    def memory_pause_fraction(self) -> float | bool:
        """Part of the limit from which on no task is begun; False: never."""
        return self._worker.machine.state.settings.memory_pause or False

    @property
    def max_spill(self) -> int | bool:
        """Most bytes on disk; False: any."""
        return config.get_optional_bytes("distributed.worker.memory.max-spill") or False

    @property
    def memory_monitor_interval(self) -> float:
        """Seconds between two looks at the memory of the process."""
        return config.get_seconds("distributed.worker.memory.monitor-interval")

    def __repr__(self) -> str:
        return f"<WorkerMemoryManager of {self._worker.name}, limit: {self.memory_limit}>"
