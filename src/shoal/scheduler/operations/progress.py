"""How far the work for some keys is: counted here, and told to the asking client until it is done.

Counts are by kind of work, and of all tasks that the keys need, not of the keys alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from shoal._base.keys import decode_key
from shoal.comm.base import Comm
from shoal.comm.status import Status
from shoal.scheduler.core.state import TaskState

if TYPE_CHECKING:
    from shoal.scheduler.context import SchedulerContext

__all__ = ["Progress", "progress"]

GROUPINGS = ("prefix", "group", "key")

# Counting may take this part of the scheduler's time; people are told every second anyway.
_SHARE = 0.05
_LONGEST = 1.0

# Seconds that a task may need to get here: its client speaks on another connection.
_TIMEOUT = 5.0


class Progress:
    """Counts the tasks that some keys need.

    Parameters
    ----------
    tasks : mapping
        The tasks of the scheduler by key.
    keys : iterable of str
        The keys; those that are not known yet are looked for whenever it is counted.
    by : {"prefix", "group", "key"}
        The unit of counting.
    complete : bool
        False: leave out what is done at the beginning.
    """

    def __init__(
        self,
        tasks: Mapping[str, TaskState],
        keys: Iterable[str],
        by: str = "prefix",
        complete: bool = True,
    ) -> None:
        if by not in GROUPINGS:
            raise ValueError(f"by= is one of {', '.join(GROUPINGS)}, got {by!r}")
        self._tasks = tasks
        self._by = by
        self._complete = complete
        self._unseen = dict.fromkeys(keys)
        self._known: set[str] = set()
        self._pending: dict[str, list[TaskState]] = {}
        self._done: dict[str, int] = {}
        self._failed: dict[str, int] = {}
        self.dropped = 0  # that were forgotten before they ran: cancelled, or by a restart

    def _find(self) -> None:
        """Take in tasks that came meanwhile, with all that they need."""
        todo = [self._tasks[key] for key in self._unseen if key in self._tasks]
        for ts in todo:
            del self._unseen[ts.key]
        known = self._known
        while todo:
            ts = todo.pop()
            if ts.key in known:
                continue
            known.add(ts.key)
            if self._complete or not _is_over(ts):
                label = self._label(ts)
                self._pending.setdefault(label, []).append(ts)
                self._done.setdefault(label, 0)
            todo.extend(ts.deps)

    def _label(self, ts: TaskState) -> str:
        if self._by == "prefix":
            return ts.group.prefix.name
        return ts.group.name if self._by == "group" else ts.key

    def count(self) -> dict[str, tuple[int, int, int]]:
        """Return how many are done, of how many, and how many of these failed, by label."""
        if self._unseen:
            self._find()
        counts = {}
        for label, pending in self._pending.items():
            if pending:
                left = []
                for ts in pending:
                    if not _is_over(ts):
                        left.append(ts)
                    else:
                        self._done[label] += 1
                        if ts.state == "erred":
                            self._failed[label] = self._failed.get(label, 0) + 1
                        elif ts.nbytes < 0:
                            self.dropped += 1
                self._pending[label] = left
            done = self._done[label]
            total = done + len(self._pending[label])
            counts[label] = (done, total, self._failed.get(label, 0))
        return counts

    @property
    def unseen(self) -> int:
        """How many of the keys are not known here."""
        return len(self._unseen)


def _is_over(ts: TaskState) -> bool:
    state = ts.state
    if state in ("memory", "erred", "forgotten"):
        return True
    # It was used and dropped, and nobody asks for it again.
    return state == "released" and not ts.needed


async def progress(
    scheduler: SchedulerContext,
    comm: Comm,
    keys: list[str],
    by: str = "prefix",
    interval: float = 0.1,
    complete: bool = True,
) -> Status:
    """Tell counts about every `interval` seconds until nothing is left to do; then hang up.

    Each message has `groups` (label, done, total, failed), `error`, `dropped` and `done`.
    """
    counting = Progress(scheduler.state.tasks, keys, by, complete)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    while not comm.closed():
        before = loop.time()
        counts = counting.count()
        took = loop.time() - before
        missing = counting.unseen if before - begun < _TIMEOUT else 0
        done = not missing and all(row[0] == row[1] for row in counts.values())
        rows: list[Any] = [
            (decode_key(label) if by == "key" else label, *row) for label, row in counts.items()
        ]
        failed = any(row[2] for row in counts.values())
        told = {"groups": rows, "missing": missing, "error": failed, "done": done}
        await comm.write({**told, "dropped": counting.dropped})
        if done:
            break
        await asyncio.sleep(max(interval, min(took / _SHARE, _LONGEST)))
    await comm.close()
    return Status.dont_reply
