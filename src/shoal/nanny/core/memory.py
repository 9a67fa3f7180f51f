"""When a process uses so much memory that it must go, before the kernel picks a victim itself."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MemoryLimit"]


@dataclass(frozen=True, slots=True)
class MemoryLimit:
    """A limit in bytes, and the fraction of it from which a process is ended.

    Parameters
    ----------
    limit : int
        Bytes; 0 for none.
    terminate : float or None
        Fraction of the limit, ``distributed.worker.memory.terminate``; None never ends a process.
    """

    limit: int
    terminate: float | None

    @property
    def active(self) -> bool:
        """Whether there is anything to watch."""
        return bool(self.limit and self.terminate)

    def exceeded_by(self, used: int) -> bool:
        """Whether a process that uses this many bytes must go."""
        return self.active and used > self.limit * (self.terminate or 0)
