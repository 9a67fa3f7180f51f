"""The latest transfers of a worker to others and from them, and how fast they were."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

from dask.utils import key_split

__all__ = ["Direction", "Transfers"]

_LENGTH = 100_000
_LARGE = 1_000_000  # smaller ones say more of latency than of bandwidth


class Direction:
    """Transfers of one direction.

    Attributes
    ----------
    log : deque of dict
        The last ones: `start`, `stop`, `middle`, `duration`, `who`, `keys` (sizes by key), `total`,
        `bandwidth`.
    active : int
        How many are under way.
    active_bytes : int
        How large these are.
    count, nbytes : int
        How many there were, and how large they were together.
    seconds : dict
        How long they took, by what the keys begin with.
    """

    def __init__(self) -> None:
        self.log: deque[dict[str, Any]] = deque(maxlen=_LENGTH)
        self.active = 0
        self.active_bytes = 0
        self.seconds: dict[str, float] = {}
        self._by_kind: dict[str, tuple[float, float]] = {}  # bytes and seconds of large transfers
        self.count = 0
        self.nbytes = 0

    def note(self, start: float, who: str, sizes: dict[str, int], *kinds: str) -> None:
        """A transfer that began at `start` has ended now; `kinds` are the types of its values."""
        stop = time.time()
        total = sum(sizes.values())
        duration = max(stop - start, 1e-6)
        self.count += 1
        self.nbytes += total
        if total >= _LARGE and len(set(kinds)) == 1:
            before, seconds = self._by_kind.get(kinds[0], (0.0, 0.0))
            self._by_kind[kinds[0]] = before + total, seconds + duration
        share = duration / max(len(sizes), 1)
        for key in sizes:
            prefix = key_split(key)
            self.seconds[prefix] = self.seconds.get(prefix, 0.0) + share
        self.log.append(
            {
                "start": start,
                "stop": stop,
                "middle": (start + stop) / 2,
                "duration": duration,
                "who": who,
                "keys": sizes,
                "total": total,
                "bandwidth": total / duration,
            }
        )

    def bandwidths(self) -> dict[str, float]:
        """Return bytes a second by peer, of transfers that were large enough to tell."""
        sums: dict[str, tuple[float, float]] = {}
        for each in self.log:
            if each["total"] >= _LARGE:
                nbytes, seconds = sums.get(each["who"], (0.0, 0.0))
                sums[each["who"]] = nbytes + each["total"], seconds + each["duration"]
        return {who: nbytes / seconds for who, (nbytes, seconds) in sums.items()}

    def bandwidths_by_kind(self) -> dict[str, float]:
        """Return bytes a second by type, of large transfers whose values were all of it."""
        return {kind: nbytes / seconds for kind, (nbytes, seconds) in self._by_kind.items()}


class Transfers:
    """All transfers of a worker."""

    def __init__(self) -> None:
        self.incoming = Direction()
        self.outgoing = Direction()
