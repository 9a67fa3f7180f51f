"""When the collector of cyclic garbage may look at a scheduler's objects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal._base.collector import collect_when_quiet
from shoal.comm.status import Status

if TYPE_CHECKING:
    from shoal.scheduler.context import SchedulerContext

__all__ = ["collect_for"]

_FEW = 20_000  # tasks whose objects are looked at in some 10 ms


def collect_for(scheduler: SchedulerContext) -> None:
    """Have the collector look only while the scheduler of this process knows few tasks."""

    def is_quiet() -> bool:
        return scheduler.status is Status.running and len(scheduler.state.tasks) < _FEW

    collect_when_quiet(is_quiet)
