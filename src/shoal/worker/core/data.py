"""Data on this worker: how it comes, who waited for it, how it goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.wire import messages as m
from shoal.worker.core.fetch import answered, failed, forget_missing, note_missing
from shoal.worker.core.transitions import free_run, give_up, start_or_wait

if TYPE_CHECKING:
    from shoal.worker.core.state import WorkerState

__all__ = [
    "acquire",
    "added",
    "came",
    "drop",
    "fetched",
    "holder_failed",
    "lost",
    "refuse_copies",
    "report",
]

_PAUSED = "the worker is paused: its memory is nearly full"


def came(s: WorkerState, key: str, nbytes: int, type_name: str) -> None:
    """Data is here, by whatever way: go on with the runs that waited for it."""
    s.data[key] = (nbytes, type_name)
    item = s.missing_keys.get(key)
    if item is None:
        return
    forget_missing(s, item)
    if item.acquire and key not in s.landed:
        s.landed.append(key)
    for task in item.tasks:
        task.lacking -= 1
        if not task.lacking:
            start_or_wait(s, task)


def fetched(s: WorkerState, peer: str, got: list[tuple[str, int, str]], absent: list[str]) -> None:
    """A peer answered. What nobody waits for any more is not kept."""
    for key, nbytes, type_name in got:
        if answered(s, peer, key) is not None:
            s.effects.keep.append(key)
            s.landed.append(key)
            came(s, key, nbytes, type_name)
    for key in absent:
        _not_served(s, peer, key, True)


def holder_failed(s: WorkerState, peer: str, keys: list[str]) -> None:
    """A peer could not be reached, or broke off."""
    for key in keys:
        _not_served(s, peer, key, False)


def _not_served(s: WorkerState, peer: str, key: str, absent: bool) -> None:
    item = answered(s, peer, key)
    if item is None or failed(s, item, peer, absent):
        return
    for task in list(item.tasks):
        if task.state == "waiting":  # the loss of another key may have ended it
            give_up(s, task, [item])
    if item.acquire:
        s.missed.append(key)
    if s.missing_keys.get(key) is item:
        forget_missing(s, item)


def added(s: WorkerState, keys: list[str], nbytes: list[int], types: list[str]) -> None:
    """A client scattered data to this worker."""
    s.effects.keep += keys
    for key, size, type_name in zip(keys, nbytes, types, strict=True):
        came(s, key, size, type_name)
    if s.connected and keys:
        s.effects.send.append(m.Acquired(list(keys), list(nbytes), list(types), scattered=True))


def acquire(s: WorkerState, message: m.Acquire) -> None:
    """The scheduler wants copies here. Those that are here are reported again: it may not know."""
    for key, nbytes, holders in zip(message.keys, message.nbytes, message.holders, strict=True):
        if key in s.data:
            s.landed.append(key)
        elif s.paused:
            s.missed.append(key)
        else:
            item = note_missing(s, key, nbytes, holders, (0.0, 0, 0))
            item.acquire = True
            if item.peer is None and not item.waits_for_retry and not item.here:
                s.missed.append(key)
                forget_missing(s, item)


def drop(s: WorkerState, keys: list[str], data: bool = True, runs: bool = True) -> None:
    """Nobody needs these keys: the data, the runs, the copies asked for."""
    held = s.data
    if data:
        s.effects.drop += [key for key in keys if held.pop(key, None) is not None]
    if runs and s.tasks:
        for key in keys:
            task = s.tasks.get(key)
            if task is not None:
                free_run(s, task)
    if data and s.missing_keys:
        for key in keys:
            item = s.missing_keys.get(key)
            if item is not None:
                item.acquire = False
                if not item.tasks:
                    forget_missing(s, item)


def lost(s: WorkerState, keys: list[str], reason: str) -> None:
    """The store lost data. Runs that need it find out when they start."""
    gone = [key for key in keys if s.data.pop(key, None) is not None]
    if gone and s.connected:
        s.effects.send.append(m.Dropped(gone, reason))


def report(s: WorkerState) -> None:
    """Say which copies came and which did not, at the end of an event."""
    if s.landed:
        keys = [key for key in dict.fromkeys(s.landed) if key in s.data]
        s.landed = []
        if keys and s.connected:
            sizes = [s.data[key] for key in keys]
            s.effects.send.append(
                m.Acquired(keys, [nbytes for nbytes, _ in sizes], [name for _, name in sizes])
            )
    if s.missed:
        reason = _PAUSED if s.paused else "no holder could serve it"
        if s.connected:
            s.effects.send.append(m.NotAcquired(s.missed, reason))
        s.missed = []


def refuse_copies(s: WorkerState) -> None:
    """The worker was paused: copies that are not under way yet would only make it worse."""
    for item in list(s.missing_keys.values()):
        if item.acquire and item.flight is None:
            item.acquire = False
            s.missed.append(item.key)
            if not item.tasks:
                forget_missing(s, item)
