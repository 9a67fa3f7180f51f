"""Handlers of passed time. All deadlines of the core are worked out here."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from shoal.scheduler.core.coordination import handling as coordination
from shoal.scheduler.core.handlers.membership import retire_worker
from shoal.scheduler.core.outgoing import tell_free
from shoal.scheduler.core.transitions.demand import drop_want
from shoal.scheduler.core.transitions.failing import fail_data_lost, fail_unrunnable

if TYPE_CHECKING:
    from shoal.scheduler.core.settings import Settings
    from shoal.scheduler.core.state import SchedulerState

__all__ = [
    "end_recovery_if_due",
    "is_busy",
    "is_idle",
    "lateness",
    "next_deadline",
    "on_tick",
    "pass_over",
    "why_idle",
]

_LATE = 5.0  # seconds by which a tick may be late on a busy machine


def on_tick(s: SchedulerState) -> None:
    """Do all that is due."""
    now = s.now
    settings = s.settings
    if settings.worker_ttl is not None:
        for ws in s.workers.values():
            if now - ws.last_seen > settings.worker_ttl:
                silent = f"it was silent for more than {settings.worker_ttl:g} s"
                s.outbox.close_workers.append((ws.address, silent))
    if s.departures.lifetimes:
        for ws in [ws for ws, until in s.departures.lifetimes.items() if until <= now]:
            del s.departures.lifetimes[ws]
            retire_worker(s, ws, close=True, must_go=True)
        s.departures.first_lifetime = min(s.departures.lifetimes.values(), default=0.0)
    for ts in [ts for ts in s.sleeping if ts.rare is None or ts.rare.wake_at <= now]:
        del s.sleeping[ts]
        s.ready.append(ts)
    end_recovery_if_due(s)
    for ts in [ts for ts, until in s.recovery.awaited.items() if until <= now]:
        s.recovery.awaited.pop(ts, None)
        if ts.needed and ts.state == "released":
            fail_data_lost(s, ts, "no worker brought it, and nobody defined it")
    due = (key for key, until in s.adopted_until.items() if until <= now)
    for key in list(islice(due, settings.slice)):  # the rest with the next tick, which is due
        del s.adopted_until[key]
        kept = s.tasks.get(key)
        if kept is not None:
            drop_want(s, s.adopted, kept)
    if s.recovery.reported and now >= s.recovery.reported_until:
        for key, (ws, _, life) in s.recovery.reported.items():
            tell_free(s, ws, key, life)
        s.recovery.reported.clear()
    for ws in s.outbox.holding:
        if now < ws.held_since + settings.free_delay:
            break
        s.touched_workers[ws] = None
    coordination.on_tick(s)
    if settings.no_workers_timeout is not None:
        patience = settings.no_workers_timeout
        for ts in list(islice(s.unrunnable, settings.slice)):
            if now - ts.rarities().unrunnable_since >= patience:
                fail_unrunnable(s, ts, f"none came within {patience:g} s")


def lateness(settings: Settings) -> float:
    """Return by how many seconds a tick must be late to say that the scheduler was stopped."""
    limits = (settings.worker_ttl, settings.lease_timeout)
    return min(_LATE, *(limit / 4 for limit in limits if limit is not None))


def pass_over(s: SchedulerState, seconds: float) -> None:
    """Time passed in which the scheduler was stopped, and heard of nobody: it does not count.

    Messages of workers and clients that came meanwhile are still to be read.
    """
    for ws in s.workers.values():
        ws.last_seen += seconds
    for client in s.clients.values():
        client.last_seen += seconds


def end_recovery_if_due(s: SchedulerState) -> None:
    """Begin to place tasks when all workers are back, or when the window is over."""
    if s.recovery.until is None:
        return
    all_back = s.recovery.client_came_back and s.workers and not s.recovery.expected_workers
    if s.now >= s.recovery.until or all_back:
        s.recovery.until = None
        s.recovery.expected_workers.clear()
        for ts in list(s.recovery.awaited):
            del s.recovery.awaited[ts]
            if ts.needed and ts.state == "released":
                fail_data_lost(s, ts, "no worker that came back holds it")


def is_busy(s: SchedulerState) -> bool:
    """Whether something runs or waits."""
    return (
        bool(s.ready or s.work or s.unneeded or s.inbox)
        or bool(s.queue.size)
        or bool(s.parked)
        or bool(s.unrunnable)
        or any(ws.processing for ws in s.workers.values())  # the first is mostly busy
    )


def is_idle(s: SchedulerState) -> bool:
    """Whether nothing runs or waits, since longer than one of the timeouts for it, if there is one.

    One counts from when the last task ended, the other from when the last client left, if later.
    """
    timeout, without_client = s.settings.idle_timeout, s.settings.no_client_timeout
    if timeout is None and without_client is None:
        return False
    if is_busy(s):
        s.idle_since = s.clientless_since = None
        return False
    if s.idle_since is None:
        s.idle_since = s.now
    if s.clients:
        s.clientless_since = None
    elif s.clientless_since is None:
        s.clientless_since = s.now
    return bool(why_idle(s))


def why_idle(s: SchedulerState) -> str:
    """Return which timeout for a cluster without work is over; empty where none is."""
    timeout, without_client = s.settings.idle_timeout, s.settings.no_client_timeout
    if timeout is not None and s.idle_since is not None and s.now - s.idle_since >= timeout:
        return f"Nothing was asked for {timeout:g} s (idle-timeout)"
    since = s.clientless_since
    if without_client is not None and since is not None and s.now - since >= without_client:
        return f"No client was there for {without_client:g} s (no-client-timeout)"
    return ""


def next_deadline(s: SchedulerState) -> float | None:
    """Return when the next `Tick` is due."""
    settings = s.settings
    due: list[float] = []
    if s.workers and settings.worker_ttl is not None:
        due.append(s.now + settings.worker_ttl / 4)
    if s.departures.lifetimes:
        due.append(s.departures.first_lifetime)
    if s.departures.retiring:
        due.extend(ws.look_again for ws in s.departures.retiring if ws.look_again > s.now)
        due.append(min(ws.retire_until for ws in s.departures.retiring))
    if s.sleeping:
        due.append(min(ts.rarities().wake_at for ts in s.sleeping))
    if s.recovery.until is not None:
        due.append(s.recovery.until)
    if s.recovery.awaited:
        due.append(min(s.recovery.awaited.values()))
    if s.adopted_until:
        due.append(next(iter(s.adopted_until.values())))
    if s.recovery.reported:
        due.append(s.recovery.reported_until)
    if s.unrunnable and settings.no_workers_timeout is not None:
        first = next(iter(s.unrunnable))
        due.append(first.rarities().unrunnable_since + settings.no_workers_timeout)
    if s.outbox.holding:
        due.append(next(iter(s.outbox.holding)).held_since + settings.free_delay)
    if s.coordination is not None:
        coordinated = coordination.next_deadline(s)
        if coordinated is not None:
            due.append(coordinated)
    if settings.idle_timeout is not None:
        due.append(s.now + settings.idle_timeout / 4)
    if settings.no_client_timeout is not None:
        due.append(s.now + settings.no_client_timeout / 4)
    return min(due) if due else None
