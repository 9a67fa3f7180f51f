"""One frame for all viewers, four times a second, and none when nobody looks."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Protocol

import msgspec

from shoal.dashboard.collector import Collector
from shoal.dashboard.task_sample import TaskSample

if TYPE_CHECKING:
    from shoal.scheduler.scheduler import Scheduler

__all__ = ["INTERVAL", "Feed", "Viewer"]

logger = logging.getLogger("shoal.dashboard")

INTERVAL = 0.25
_RUNS_A_FRAME = 400
# A viewer that has not read so many bytes gets no frame until it has, and then all anew.
_UNREAD = 4 * 2**20

_encode = msgspec.msgpack.Encoder().encode


class Viewer(Protocol):
    """One connection of a browser."""

    def show(self, frame: bytes) -> None:
        """Send a frame."""

    def unread(self) -> int:
        """Return how many bytes wait to be read."""


class Feed:
    """Sends frames to viewers.

    Parameters
    ----------
    scheduler : Scheduler
        The pages that they look at.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._viewers: dict[Viewer, bool] = {}  # whether it must be told all anew
        self._collector: Collector | None = None
        self._sample = TaskSample(_RUNS_A_FRAME)
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0

    def __len__(self) -> int:
        return len(self._viewers)

    def join(self, viewer: Viewer) -> None:
        """Show the cluster to one more."""
        if self._collector is None:
            self._collector = Collector(self._scheduler)
            self._scheduler.stream_record.listeners.append(self._sample.note)
        self._viewers[viewer] = True
        if self._timer is None:
            self._set(0.0)

    def leave(self, viewer: Viewer) -> None:
        """One looks no more; after the last one nothing is collected."""
        self._viewers.pop(viewer, None)
        if not self._viewers:
            self.stop()

    def stop(self) -> None:
        """Send no more frames."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._collector is not None:
            self._collector = None
            self._scheduler.stream_record.listeners.remove(self._sample.note)
            self._sample = TaskSample(_RUNS_A_FRAME)
        self._viewers.clear()

    def _set(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self._due = loop.time() + seconds
        self._timer = loop.call_later(seconds, self._tick)

    def _tick(self) -> None:
        lag = max(0.0, asyncio.get_running_loop().time() - self._due)
        # Before anything that can fail, so that one bad frame is not the last one.
        self._set(INTERVAL)
        collector = self._collector
        assert collector is not None
        try:
            runs = self._sample.take()
            frame = _encode(collector.delta(runs, self._sample.seen, lag))
            whole = b""
            for viewer, anew in list(self._viewers.items()):
                if viewer.unread() > _UNREAD:
                    self._viewers[viewer] = True
                elif anew:
                    # After the delta: both tell the state of this moment.
                    whole = whole or _encode(collector.full())
                    self._viewers[viewer] = False
                    viewer.show(whole)
                else:
                    viewer.show(frame)
        except Exception:
            logger.exception("a frame of the dashboard could not be made")
