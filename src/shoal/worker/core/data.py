"""Data on this worker: how it comes, which runs waited for it, how it goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.wire import messages as m
from shoal.worker.core.fetch import answered, failed, forget_missing, holds, named, note_missing
from shoal.worker.core.transitions import free_run, give_up, give_up_other_life, start_or_wait

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


def came(s: WorkerState, key: str, nbytes: int, type_name: str, life: int = 0) -> None:
    """Data is here, by whatever way: go on with the runs that waited for it."""
    s.data[key] = (nbytes, type_name, life)
    if s.also or s.scattered:
        s.also.pop(key, None)
        s.scattered.pop(key, None)
    _satisfy(s, key)


def _satisfy(s: WorkerState, key: str) -> None:
    item = s.missing_keys.get(key)
    if item is None or not holds(s, key, item.life):
        return
    forget_missing(s, item)
    if item.acquire and key not in s.landed:
        s.landed.append(key)
    for task in item.tasks:
        task.lacking -= 1
        if not task.lacking:
            start_or_wait(s, task)


def fetched(
    s: WorkerState,
    peer: str,
    got: list[tuple[str, int, str]],
    absent: list[str],
    lives: dict[str, int],
) -> None:
    """A peer answered. Values that no run waits for any more are not kept."""
    for key, nbytes, type_name in got:
        life = lives.get(key, 0)
        if answered(s, peer, key, life) is not None:
            s.effects.keep.append(key)
            s.landed.append(key)
            if s.guard is not None:
                s.guard.managed += nbytes  # until it is measured again
            came(s, key, nbytes, type_name, life)
    for key in absent:
        _not_served(s, peer, key, lives.get(key, 0), True)


def holder_failed(s: WorkerState, peer: str, keys: list[str], lives: dict[str, int]) -> None:
    """A peer could not be reached, or broke off."""
    for key in keys:
        _not_served(s, peer, key, lives.get(key, 0), False)


def _not_served(s: WorkerState, peer: str, key: str, life: int, absent: bool) -> None:
    item = answered(s, peer, key, life)
    if item is None or failed(s, item, peer, absent):
        return
    for task in list(item.tasks):
        if task.state == "waiting":  # the loss of another key may have ended it
            give_up(s, task, [item])
    if item.acquire:
        s.missed.append((key, item.life))
    if s.missing_keys.get(key) is item:
        forget_missing(s, item)


def added(
    s: WorkerState,
    keys: list[str],
    nbytes: list[int],
    types: list[str],
    lives: list[int],
    equal: bool,
) -> None:
    """A client scattered data to this worker.

    Equal data that is here under another life is a copy of both from now on: the scheduler says
    which one is over.
    """
    s.effects.keep += keys
    lives = lives or [0] * len(keys)
    for key, size, type_name, life in zip(keys, nbytes, types, lives, strict=True):
        before = s.data.get(key)
        if equal and before is not None and before[2] != life:
            s.also.setdefault(key, set()).add(life)
            _satisfy(s, key)
        else:
            came(s, key, size, type_name, life)
        s.scattered[key] = None
    if s.connected and keys:
        s.effects.send.append(
            m.Acquired(list(keys), list(nbytes), list(types), True, named(lives), equal)
        )


def acquire(s: WorkerState, message: m.Acquire) -> None:
    """The scheduler wants copies here. Copies that are here are reported again: it may not know."""
    n = len(message.keys)
    rows = zip(
        message.keys,
        message.nbytes,
        message.holders,
        message.lives or [0] * n,
        message.equal or [0] * n,
        strict=True,
    )
    for key, nbytes, holders, life, equal in rows:
        if holds(s, key, life) or (equal and holds(s, key, equal)):
            _call(s, key, life, equal)
            s.landed.append(key)
        elif s.paused:
            s.missed.append((key, life))
        else:
            give_up_other_life(s, key, life)
            item = note_missing(s, key, nbytes, holders, (0.0, 0, 0), life)
            item.acquire = True
            if item.peer is None and not item.waits_for_retry and not item.here:
                s.missed.append((key, life))
                forget_missing(s, item)


def _call(s: WorkerState, key: str, life: int, equal: int) -> None:
    """Let data that is here be a copy of this life; of an equal one it is no more."""
    nbytes, type_name, before = s.data[key]
    now = life or before
    lives = s.also.pop(key, set()) | {before}
    lives -= {now, equal}
    if lives:
        s.also[key] = lives
    s.data[key] = (nbytes, type_name, now)
    _satisfy(s, key)


def drop(
    s: WorkerState, keys: list[str], lives: list[int], data: bool = True, runs: bool = True
) -> None:
    """Drop these lives of keys, which no task or client needs: data, runs, copies asked for."""
    held = s.data
    if len(lives) < 2:  # one of all
        lives = (lives or [0]) * len(keys)
    if data:
        drop = s.effects.drop
        plain = not (s.also or s.scattered)
        for key, life in zip(keys, lives, strict=True):
            found = held.get(key)
            if found is None:
                continue
            if (plain and found[2] == life) or _is_over(s, key, life, found[2]):
                del held[key]
                drop.append(key)
    if runs and s.tasks:
        for key, life in zip(keys, lives, strict=True):
            task = s.tasks.get(key)
            if task is not None and life in (task.compute.life, 0):
                free_run(s, task)
    if data and s.missing_keys:
        for key, life in zip(keys, lives, strict=True):
            item = s.missing_keys.get(key)
            if item is not None and life in (item.life, 0):
                item.acquire = False
                if not item.tasks:
                    forget_missing(s, item)


def _is_over(s: WorkerState, key: str, life: int, mine: int) -> bool:
    """Whether data here goes with the end of a life: it is of no other, nor a newer one's."""
    if s.also and key in s.also:
        others = s.also[key]
        others.discard(life)
        if life == mine:
            s.data[key] = (*s.data[key][:2], others.pop())
        if not others:
            del s.also[key]
        return False
    if life != mine and mine and (life or key in s.scattered):
        return False
    if s.scattered:
        s.scattered.pop(key, None)
    return True


def lost(s: WorkerState, keys: list[str], reason: str) -> None:
    """The store lost data. Runs that need it find out when they start."""
    gone: list[str] = []
    lives: list[int] = []
    for key in keys:
        found = s.data.pop(key, None)
        if found is not None:
            for life in (found[2], *s.also.pop(key, ())):
                gone.append(key)
                lives.append(life)
            s.scattered.pop(key, None)
    if gone and s.connected:
        s.effects.send.append(m.Dropped(gone, reason, named(lives)))


def report(s: WorkerState) -> None:
    """Say which copies came and which did not, at the end of an event."""
    if s.landed:
        keys = [key for key in dict.fromkeys(s.landed) if key in s.data]
        s.landed = []
        if keys and s.connected:
            sizes = [s.data[key] for key in keys]
            s.effects.send.append(
                m.Acquired(
                    keys,
                    [nbytes for nbytes, _, _ in sizes],
                    [name for _, name, _ in sizes],
                    lives=named([life for _, _, life in sizes]),
                )
            )
    if s.missed:
        reason = _PAUSED if s.paused else "no holder could serve it"
        if s.connected:
            keys = [key for key, _ in s.missed]
            s.effects.send.append(
                m.NotAcquired(keys, reason, named([life for _, life in s.missed]))
            )
        s.missed = []


def refuse_copies(s: WorkerState) -> None:
    """The worker was paused: copies that are not under way yet would only make it worse."""
    for item in list(s.missing_keys.values()):
        if item.acquire and item.flight is None:
            item.acquire = False
            s.missed.append((item.key, item.life))
            if not item.tasks:
                forget_missing(s, item)
