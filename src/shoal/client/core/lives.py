"""A key that means something else than before, while something still needs what it meant. Pure.

The record of the older life goes on under a name of its own, the same that the scheduler gives it,
so that all of it can be said again to another scheduler. See `shoal.scheduler.core.handlers.lives`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from shoal._base.keys import set_aside_key
from shoal.client.core.outgoing import STEP, life_of
from shoal.client.core.state import ERROR, FINISHED, PENDING

if TYPE_CHECKING:
    from shoal.client.core.state import ClientState, Record
    from shoal.wire.blob import Buffer

__all__ = ["inherit", "means_another", "needs", "set_aside"]


def means_another(old: Record, new: Record) -> bool:
    """Whether a key that nobody wants any more, but others depend on, is defined otherwise."""
    first, second = old.call, new.call
    if old is new or old.wanted or first is None or second is None:
        return False
    return not (
        first.function.id == second.function.id
        and old.args == new.args
        and old.deps == new.deps
        and _buffers(old) == _buffers(new)
    )


def _buffers(record: Record) -> list[Buffer]:
    return [] if record.extras is None else record.extras.buffers


def set_aside(s: ClientState, record: Record) -> None:
    """Let a record go on under a name of its own."""
    key = record.key
    s.over = True  # it may have been told of after its last future was gone
    table = s.records
    del table[key]
    if not life_of(record):  # no scheduler was told of it: it has no number, nor has its next one
        s.told += STEP
        record.life = s.told
    name = set_aside_key(key, life_of(record))
    if name in table:  # others shared theirs with this client, after it had set one aside
        name = f"{name}.{record.told}"
    record.key = name
    table[name] = record
    if s.held_back.pop(key, None) is not None:
        s.held_back[name] = record
    for other in table.values():
        if key in other.deps:
            other.deps = tuple([name if dep == key else dep for dep in other.deps])


def inherit(old: Record, new: Record) -> bool:
    """Let a record that takes the place of a wanted one know what is known of it.

    The scheduler does not say again what it said. Return whether the outcome is known.
    """
    new.told = old.told
    if new.status != PENDING or old.status not in (FINISHED, ERROR):
        return False
    if new.extras is None:
        new.extras = old.extras
    new.type, new.value, new.holder, new.why = old.type, old.value, old.holder, old.why
    new.status = old.status
    return True


def needs(s: ClientState, deps: Iterable[str], key: str) -> bool:
    """Whether any of these keys is, or depends on, `key`."""
    table = s.records
    seen: set[str] = set()
    stack = list(deps)
    while stack:
        dep = stack.pop()
        if dep == key:
            return True
        if dep not in seen and dep in table:
            seen.add(dep)
            stack += table[dep].deps
    return False
