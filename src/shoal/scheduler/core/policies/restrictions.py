"""Where a task may run: addresses, names and hosts that the user named, and resources."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal._base.resources import offered
from shoal.scheduler.core.state import NO_OPTIONS

if TYPE_CHECKING:
    from shoal.scheduler.core.state import SchedulerState, TaskState, WorkerState
    from shoal.wire.messages import TaskOptions

__all__ = ["allowed_workers", "may_run_on", "resolve_worker_names", "workers_changed"]

_CACHE_LIMIT = 10_000


def allowed_workers(s: SchedulerState, ts: TaskState) -> dict[WorkerState, None] | None:
    """Return the workers a task may run on; None means any.

    With `allow_other_workers` an empty set of named workers means any, too.
    """
    options = ts.options
    if options is NO_OPTIONS or (not options.workers and not options.resources):
        return None
    cached = s.restrictions.get(id(options))
    if cached is not None:
        return cached[1]
    found = _resolve(s, options)
    if len(s.restrictions) >= _CACHE_LIMIT:
        s.restrictions.clear()
    s.restrictions[id(options)] = (options, found)  # the reference keeps the id its own
    return found


def _resolve(s: SchedulerState, options: TaskOptions) -> dict[WorkerState, None] | None:
    if options.workers:
        addresses = resolve_worker_names(s, options.workers)
        found = [s.workers[address] for address in addresses]
    else:
        found = list(s.workers.values())
    needed = options.resources
    if needed:
        found = [ws for ws in found if _offers(ws, needed)]
    if options.workers and options.allow_other_workers:
        if needed:
            return dict.fromkeys(found) or _resolve_resources_only(s, needed)
        return dict.fromkeys(found) or None
    return dict.fromkeys(found)


def _resolve_resources_only(s: SchedulerState, needed: dict[str, float]) -> dict[WorkerState, None]:
    return dict.fromkeys(ws for ws in s.workers.values() if _offers(ws, needed))


def _offers(ws: WorkerState, needed: dict[str, float]) -> bool:
    offers = offered(ws.info.resources, ws.info.memory_limit)
    return all(offers.get(name, 0) >= n for name, n in needed.items())


def resolve_worker_names(s: SchedulerState, names: list[str]) -> list[str]:
    """Return the addresses of live workers that are meant by addresses, names or host names."""
    found: dict[str, None] = {}
    for name in names:
        if name in s.workers:
            found[name] = None
        elif name in s.aliases:
            found[s.aliases[name]] = None
        elif name in s.hosts:
            found.update(s.hosts[name])
        else:
            # An address written without its scheme ("127.0.0.1:8786").
            for address in s.workers:
                if address.partition("://")[2] == name:
                    found[address] = None
    return list(found)


def may_run_on(s: SchedulerState, ts: TaskState, ws: WorkerState) -> bool:
    """Whether a task's restrictions allow a worker."""
    allowed = allowed_workers(s, ts)
    return allowed is None or ws in allowed


def workers_changed(s: SchedulerState) -> None:
    """Forget what was worked out: a worker joined or left."""
    s.restrictions.clear()
