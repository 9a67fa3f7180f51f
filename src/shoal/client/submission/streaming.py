"""Iterators and queues as inputs: read by a thread, item by item, as long as the client is open."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shoal.client.session.context import ClientContext

__all__ = ["is_stream", "stream", "stream_rows"]

_AHEAD = 10_000  # items read from an iterator before anybody took the first result
_POLL_INTERVAL = 0.2  # seconds between two looks at whether the client is closed
_END = object()


def is_stream(value: Any) -> bool:
    """Whether this is an iterator or a queue, which may never end."""
    return isinstance(value, (Iterator, queue.Queue))


def stream(client: ClientContext, source: Any, function: Callable[[Any], Any]) -> Any:
    """Return a queue for a queue, an iterator for an iterator, with the function applied to each.

    The thread reads ahead. An error of the function or the source ends an iterator with that error;
    in a queue there is no place for it but the log of the thread.
    """
    _check_blocking(client)
    if isinstance(source, queue.Queue):
        results: queue.Queue[Any] = queue.Queue()
        _start(_pump_queue, client, source, results, function)
        return results
    ahead: queue.Queue[Any] = queue.Queue(maxsize=_AHEAD)
    _start(_pump_iterator, client, source, ahead, function)
    return _items(client, ahead)


def stream_rows(
    client: ClientContext, sources: tuple[Any, ...], function: Callable[[tuple[Any, ...]], Any]
) -> Any:
    """`stream` for several sources that are read together; a queue of tuples if all are queues."""
    rows: Iterator[tuple[Any, ...]]
    if all(isinstance(source, queue.Queue) for source in sources):
        _check_blocking(client)
        results: queue.Queue[Any] = queue.Queue()
        iterators = [_endless(client, source) for source in sources]
        _start(_pump_rows, client, zip(*iterators), results, function)
        return results
    rows = zip(*(_endless(client, s) if isinstance(s, queue.Queue) else s for s in sources))
    return stream(client, rows, function)


def _check_blocking(client: ClientContext) -> None:
    if client.asynchronous:
        raise TypeError("iterators and queues block: in asynchronous code pass a list instead")


def _start(target: Callable[..., None], *args: Any) -> None:
    threading.Thread(target=target, args=args, name="shoal-stream", daemon=True).start()


def _endless(client: ClientContext, source: queue.Queue[Any]) -> Iterator[Any]:
    while not _closed(client):
        try:
            yield source.get(timeout=_POLL_INTERVAL)
        except queue.Empty:
            continue


def _pump_queue(
    client: ClientContext,
    source: queue.Queue[Any],
    results: queue.Queue[Any],
    function: Callable[[Any], Any],
) -> None:
    _pump_rows(client, _endless(client, source), results, function)


def _pump_rows(
    client: ClientContext,
    rows: Iterator[Any],
    results: queue.Queue[Any],
    function: Callable[[Any], Any],
) -> None:
    for row in rows:
        results.put(function(row))


def _pump_iterator(
    client: ClientContext,
    source: Iterator[Any],
    ahead: queue.Queue[Any],
    function: Callable[[Any], Any],
) -> None:
    try:
        for item in source:
            if not _offer(client, ahead, (function(item), None)):
                return
    except BaseException as error:
        _offer(client, ahead, (None, error))
        return
    _offer(client, ahead, _END)


def _offer(client: ClientContext, ahead: queue.Queue[Any], item: Any) -> bool:
    while not _closed(client):
        try:
            ahead.put(item, timeout=_POLL_INTERVAL)
        except queue.Full:
            continue
        return True
    return False


def _items(client: ClientContext, ahead: queue.Queue[Any]) -> Iterator[Any]:
    while True:
        try:
            item = ahead.get(timeout=_POLL_INTERVAL)
        except queue.Empty:
            if _closed(client):
                raise RuntimeError("the client was closed before the iterator ended") from None
            continue
        if item is _END:
            return
        value, error = item
        if error is not None:
            raise error
        yield value


def _closed(client: ClientContext) -> bool:
    return client.status in ("closing", "closed")
