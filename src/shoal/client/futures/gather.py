"""`gather`: containers of futures to containers of results."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from shoal._base.containers import PLAIN_CONTAINERS, is_namedtuple, rebuilt
from shoal._base.loop import sync
from shoal.client.core.state import DONE, FINISHED, Record
from shoal.client.current import as_current
from shoal.client.futures.claiming import claimed
from shoal.client.futures.fetching import fetch
from shoal.client.futures.future import Future
from shoal.client.futures.outcome import Value, error_of, unpack, value_at_hand
from shoal.errors import FutureCancelledError
from shoal.task_context import away
from shoal.wire.plain_values import PLAIN_RESULTS

if TYPE_CHECKING:
    from shoal.client.session.context import ClientContext
    from shoal.client.session.session import Session

__all__ = ["gather_async", "gather_blocking"]

_FAILED = DONE - {FINISHED}
_ABSENT: Any = object()


def gather_blocking(client: ClientContext, futures: Any, errors: str, direct: bool | None) -> Any:
    """Wait for all futures in a container; return it with results in their places.

    Unpickling happens here, on the user's thread; the loop stays free.
    """
    _check_errors(errors)
    kept: list[Future] = []
    records = _records(client, futures, kept)
    session = client._session
    while True:
        session.block(records, fail_fast=errors == "raise")
        numbers = _numbers(futures)
        if numbers is not None:
            return numbers
        if errors == "raise":
            _raise_first(client, records)
        values, remote = _here(session, records)
        if remote:
            with away():  # lost results are computed again
                values.update(sync(client.loop, fetch, client, remote, direct))
        if errors == "skip" or len(values) == len(records):
            return _rebuild(client, futures, values)
        _raise_first(client, records)  # failed while it was fetched


async def gather_async(
    client: ClientContext, futures: Any, errors: str, direct: bool | None
) -> Any:
    """`gather_blocking` for coroutines."""
    _check_errors(errors)
    kept: list[Future] = []
    records = _records(client, futures, kept)
    session = client._session
    while True:
        await session.until(records, fail_fast=errors == "raise")
        numbers = _numbers(futures)
        if numbers is not None:
            return numbers
        if errors == "raise":
            _raise_first(client, records)
        values, remote = _here(session, records)
        if remote:
            values.update(await _fetch_anywhere(client, remote, direct))
        if errors == "skip" or len(values) == len(records):
            return _rebuild(client, futures, values)
        _raise_first(client, records)


async def _fetch_anywhere(
    client: ClientContext, records: list[Record], direct: bool | None
) -> dict[str, Value]:
    loop = client.loop.asyncio_loop
    if asyncio.get_running_loop() is loop:
        return await fetch(client, records, direct)
    waiting = asyncio.run_coroutine_threadsafe(fetch(client, records, direct), loop)
    return await asyncio.wrap_future(waiting)


def _check_errors(errors: str) -> None:
    if errors not in ("raise", "skip"):
        raise ValueError(f"errors= must be 'raise' or 'skip', got {errors!r}")


def _records(client: ClientContext, futures: Any, kept: list[Future]) -> list[Record]:
    """Return the records of all futures in a container, each once.

    For futures of other clients it is the record of one of this client's, which goes into `kept`.
    """
    session = client._session
    if _is_flat(futures):
        sessions = {future._session for future in futures}
        if sessions == {session} and False not in {future._held for future in futures}:
            return list(dict.fromkeys([future._record for future in futures]))
    found: dict[str, Record] = {}
    stack = [futures]
    while stack:
        item = stack.pop()
        kind = type(item)
        if kind is Future or isinstance(item, Future):
            record = item._record
            if not item._held and record.status not in DONE:
                raise FutureCancelledError(record.key, "this future was released")
            if item._session is not session and record.status not in _FAILED:
                kept.append(claimed(session, item))
                record = kept[-1]._record
            found[record.key] = record
        elif kind in PLAIN_CONTAINERS or is_namedtuple(kind):
            stack += reversed(list(item))
        elif kind is dict:
            stack += reversed(list(item.values()))
    return list(found.values())


def _is_flat(futures: Any) -> bool:
    """Whether this is a list of futures and of nothing else, as it mostly is."""
    return type(futures) is list and {*map(type, futures)} == {Future}


def _numbers(futures: Any) -> list[Any] | None:
    """Return the results of a list of futures where all are numbers that came with the news."""
    if not _is_flat(futures):
        return None
    values = [future._record.value for future in futures]
    return values if PLAIN_RESULTS.issuperset(map(type, values)) else None


def _raise_first(client: ClientContext, records: list[Record]) -> None:
    for record in records:
        if record.status in DONE and record.status != FINISHED:
            error = error_of(client, record)
            if error is not None:
                try:
                    raise error
                finally:
                    del error  # the traceback refers to this frame; break the cycle


def _here(session: Session, records: list[Record]) -> tuple[dict[str, Value], list[Record]]:
    """Return the values that came along with the news, and the records of others."""
    values: dict[str, Value] = {}
    remote: list[Record] = []
    near = session.stores.any_in_reach
    for record in records:
        value = value_at_hand(session, record) if near else record.value
        if value is not None:
            values[record.key] = value
        elif record.status == FINISHED or record.status not in DONE:
            remote.append(record)
    return values, remote


def _rebuild(client: ClientContext, futures: Any, values: dict[str, Value]) -> Any:
    with as_current(client):  # futures in results become this client's
        result = _Builder(values, client._session.deserializers).build(futures)
    return None if result is _ABSENT else result


class _Builder:
    """Puts results where futures were; one object for each key."""

    __slots__ = ("families", "loaded", "values")

    def __init__(self, values: dict[str, Value], families: list[str] | None) -> None:
        self.values = values
        self.families = families
        self.loaded: dict[str, Any] = {}

    def build(self, item: Any) -> Any:
        kind = type(item)
        if kind is Future or isinstance(item, Future):
            return self.value(item._record.key)
        if kind in PLAIN_CONTAINERS:
            return kind([built for part in item if (built := self.build(part)) is not _ABSENT])
        if is_namedtuple(kind):
            built_parts = [self.build(part) for part in item]
            return rebuilt(kind, [None if part is _ABSENT else part for part in built_parts])
        if kind is dict:
            return {
                name: built
                for name, part in item.items()
                if (built := self.build(part)) is not _ABSENT
            }
        return item

    def value(self, key: str) -> Any:
        if key in self.loaded:
            return self.loaded[key]
        value = self.values.get(key)
        if value is None:
            return _ABSENT
        loaded = self.loaded[key] = unpack(value, self.families)
        return loaded
