"""The outcomes of tasks that were submitted while a client collects them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shoal._base.keys import encode_key

if TYPE_CHECKING:
    from shoal.scheduler.core_access import CoreAccess

__all__ = ["MetadataCollector"]


class MetadataCollector:
    """Remembers the final states of tasks, and what is known of them then.

    Parameters
    ----------
    scheduler : Scheduler
        Whose tasks.
    """

    def __init__(self, scheduler: CoreAccess) -> None:
        self._scheduler = scheduler
        self._submitted: set[str] = set()
        self.metadata: dict[str, dict[str, Any]] = {}
        self.states: dict[str, str] = {}

    def update_graph(self, scheduler: Any, *, tasks: list[Any], **kwargs: Any) -> None:
        """Take note of tasks that were submitted."""
        self._submitted.update(map(encode_key, tasks))

    def transition(self, key: Any, start: str, finish: str, *args: Any, **kwargs: Any) -> None:
        """Take note of tasks that are done."""
        wire = encode_key(key)
        if finish not in ("memory", "erred") or wire not in self._submitted:
            return
        self.states[wire] = finish
        known: dict[str, Any] = {}
        ts = self._scheduler.state.tasks.get(wire)
        if ts is not None:
            if ts.rare is not None and ts.rare.metadata:
                known.update(ts.rare.metadata)
            if finish == "memory":
                known["type"], known["nbytes"] = ts.type, ts.nbytes
        worker = kwargs.get("worker")
        if worker is not None:
            known["worker"] = worker
        known["time"] = self._scheduler.wall_time(self._scheduler.state.now)
        self.metadata[wire] = known
