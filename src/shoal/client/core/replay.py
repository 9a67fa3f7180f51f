"""The messages on a new connection: the client's name, and all that it wants, inputs first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from shoal.client.core.outgoing import tell_records
from shoal.client.core.state import ERROR
from shoal.wire.messages import ClientHello, FireAndForget, Release

if TYPE_CHECKING:
    from shoal.client.core.state import ClientState, Record

__all__ = ["hold_back_unneeded", "introduce", "tell_held_back", "with_inputs"]


def introduce(s: ClientState) -> tuple[list[Any], list[int]]:
    """Return all that a scheduler must hear that may know nothing, and where it may be cut.

    Failed tasks are held back: they would only fail again, or take more workers with them.
    """
    messages: list[Any] = [
        ClientHello(s.client, s.name, s.versions, s.registered_before, list(s.known_workers))
    ]
    s.registered_before = True
    s.held_back = dict(s.records)
    again = [
        record
        for record in s.records.values()
        if (record.wanted or record.key in s.fired) and record.status != ERROR
    ]
    records = with_inputs(s, again)
    if not records:
        return messages, []
    # Data first: it is never computed from a task, and tasks are computed from it.
    records.sort(key=_is_task)
    passing = _needed_later(records, s.part)
    cuts: list[int] = []
    for start in range(0, len(records), s.part):
        cuts.append(len(messages))
        messages += tell_records(s, records[start : start + s.part], passing, again=True)
    fired = [record.key for record in records if record.key in s.fired]
    if fired:
        messages.append(FireAndForget(fired))
    unwanted = [record.key for record in records if record.call is None and not record.wanted]
    unwanted += passing
    if unwanted:
        messages.append(Release(unwanted))
    return messages, cuts


def _needed_later(records: list[Record], part: int) -> dict[str, None]:
    """Return unwanted tasks that a later part needs: they would be dropped before that is told."""
    place: dict[str, int] = {}
    found: dict[str, None] = {}
    for i, record in enumerate(records):
        if record.call is not None and not record.wanted:
            place[record.key] = i // part
        for dep in record.deps:
            if place.get(dep, i // part) != i // part:
                found[dep] = None
    return found


def with_inputs(s: ClientState, records: Iterable[Record]) -> list[Record]:
    """Take the records out of those held back, with all that they need, inputs first."""
    held_back = s.held_back
    ordered: list[Record] = []
    for first in records:
        stack = [first]
        while stack:
            record = stack[-1]
            missing = [held_back[dep] for dep in record.deps if dep in held_back]
            if missing:
                stack += missing
                continue
            stack.pop()
            if held_back.pop(record.key, None) is not None:
                ordered.append(record)
    return ordered


def tell_held_back(s: ClientState, records: list[Record]) -> list[Any]:
    """Return what makes records known, some of which were held back.

    To tell of data is to want it; nobody would ever release data that only other records need.
    """
    if not records:
        return []
    messages = tell_records(s, records)
    unwanted = [record.key for record in records if record.call is None and not record.wanted]
    return [*messages, Release(unwanted)] if unwanted else messages


def hold_back_unneeded(s: ClientState, keys: Iterable[str]) -> None:
    """Hold back those of these keys, and of their inputs, that only records held back still need.

    The scheduler does not know what needs them, so it has just forgotten them.
    """
    needs = Counter(dep for record in s.held_back.values() for dep in record.deps)
    stack = list(keys)
    while stack:
        record = s.records.get(stack.pop())
        if record is None or record.wanted or record.key in s.held_back:
            continue
        if needs[record.key] == record.dependents:
            s.held_back[record.key] = record
            needs.update(record.deps)
            stack += record.deps


def _is_task(record: Record) -> bool:
    return record.call is not None
