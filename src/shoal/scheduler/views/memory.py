"""`MemoryState`: what is known of the memory of a worker, or of all of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from dask.utils import format_bytes

if TYPE_CHECKING:
    from shoal.scheduler.core.state import WorkerState

__all__ = ["MemoryState", "memory_of_worker", "memory_of_workers"]


class MemoryState:
    """Memory of a worker, or of the whole cluster, in bytes.

    Parameters
    ----------
    process : int
        The memory of the processes, as the system says.
    unmanaged_old : int
        The least of what was used beside results lately
        (``distributed.worker.memory.recent-to-old-time``).
    managed : int
        Results in memory, as `sizeof` has it.
    spilled : int
        Results on disk.

    Attributes
    ----------
    process : int
        As above; always `managed` and `unmanaged` together.
    managed : int
        Results in memory, at most `process`; `managed_in_memory` is the same.
    spilled : int
        Results on disk; `managed_spilled` is the same.
    managed_total : int
        Results in memory and on disk.
    unmanaged : int
        The processes' memory beside results: modules, what tasks at work have made, leaks, what
        was freed and not given back.
    unmanaged_old : int
        The part of it that has been there for a while.
    unmanaged_recent : int
        The part of it that is new.
    optimistic : int
        The memory that stays when all that is new is gone: `managed` and `unmanaged_old`.

    Examples
    --------
    >>> memory = MemoryState(process=100, unmanaged_old=20, managed=50, spilled=7)
    >>> memory.unmanaged, memory.unmanaged_recent, memory.optimistic, memory.managed_total
    (50, 30, 70, 57)
    """

    __slots__ = ("managed", "process", "spilled", "unmanaged_old")

    def __init__(self, *, process: int, unmanaged_old: int, managed: int, spilled: int) -> None:
        # Sizes are estimates, and not measured at the same moment.
        self.process = process
        self.managed = min(managed, process)
        self.spilled = spilled
        self.unmanaged_old = min(unmanaged_old, process - self.managed)

    @classmethod
    def sum(cls, *states: MemoryState) -> MemoryState:
        """Return that of several workers together."""
        return cls(
            process=sum(state.process for state in states),
            unmanaged_old=sum(state.unmanaged_old for state in states),
            managed=sum(state.managed for state in states),
            spilled=sum(state.spilled for state in states),
        )

    @property
    def managed_in_memory(self) -> int:
        """Results in memory."""
        return self.managed

    @property
    def managed_spilled(self) -> int:
        """Results on disk."""
        return self.spilled

    @property
    def managed_total(self) -> int:
        """Results in memory and on disk."""
        return self.managed + self.spilled

    @property
    def unmanaged(self) -> int:
        """The memory used beside results."""
        return self.process - self.managed

    @property
    def unmanaged_recent(self) -> int:
        """The memory used beside results since not long ago."""
        return self.unmanaged - self.unmanaged_old

    @property
    def optimistic(self) -> int:
        """The memory that will be used when all that is new is gone."""
        return self.managed + self.unmanaged_old

    def to_dict(self) -> dict[str, int]:
        """Return it as a dict."""
        names = "process managed_total managed spilled unmanaged unmanaged_recent unmanaged_old"
        return {name: getattr(self, name) for name in [*names.split(), "optimistic"]}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MemoryState) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        rows = {
            "Process memory (RSS)": self.process,
            "  - managed by Dask": self.managed,
            "  - unmanaged (old)": self.unmanaged_old,
            "  - unmanaged (recent)": self.unmanaged_recent,
            "Spilled to disk": self.spilled,
        }
        return "\n".join(f"{name:<22}: {format_bytes(size)}" for name, size in rows.items()) + "\n"


def memory_of_worker(ws: WorkerState) -> MemoryState:
    """Return the memory of a worker, as it last said, and the results that it holds."""
    metrics = ws.metrics
    process = int(metrics.get("memory", 0))
    spilled = int(metrics.get("spilled_bytes", 0))
    managed = int(metrics.get("managed_bytes", max(0, ws.nbytes - spilled)))
    old = int(metrics.get("unmanaged_old", process))
    return MemoryState(process=process, unmanaged_old=old, managed=managed, spilled=spilled)


def memory_of_workers(workers: Iterable[WorkerState]) -> MemoryState:
    """Return the memory of several workers together."""
    return MemoryState.sum(*map(memory_of_worker, workers))
