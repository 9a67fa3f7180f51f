"""Tasks that yield: a generator's parts on their way from the worker to whoever iterates.

The task puts numbered parts into a queue that holds only so many, so it waits while nobody takes
any. A task that is run again, for its worker died or it failed, yields from its start: parts that
were taken already are known by their numbers. Or, where its function can begin later, from the
first part that did not come into the queue.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any

from shoal._base.numbers import whole_number
from shoal.client.core.asks import Asking
from shoal.client.core.events import CancelRequested, RequestMade
from shoal.client.core.state import CANCELLED, ERROR, LOST
from shoal.client.futures.future import Future
from shoal.client.futures.outcome import error_of
from shoal.client.in_task.task_client import client_of_task
from shoal.coordination.asking import nobody
from shoal.coordination.queue import Queue
from shoal.coordination.sending import Sender
from shoal.coordination.variable import Variable
from shoal.errors import DataLostError
from shoal.task_context import aside, away, get_worker
from shoal.wire.messages import Ask
from shoal.wire.pickling import dumps_bytes, loads_bytes

if TYPE_CHECKING:
    from shoal.client.session.context import ClientContext

__all__ = ["StreamFuture", "begin_stream"]

_LARGE = 2**18  # bytes of a part from which on it stays on its worker until it is taken
_POLL_INTERVAL = 0.5  # seconds after which a waiting side looks at how the other is
_STAYS = 0.05  # seconds for which a task that waits keeps its thread
_END = -1


class StreamFuture(Future):
    """The future of a task that yields: iterate it, or ``async for``, to get the parts in order.

    `result` is their number, once all were taken into the queue.

    See Also
    --------
    Client.stream : makes them

    Examples
    --------
    >>> def lines(name):
    ...     with open(name) as file:
    ...         yield from file
    >>> for line in client.stream(lines, "big.txt"):  # doctest: +SKIP
    ...     print(line)
    """

    _queue: Queue
    _ready: deque[tuple[int, Any]]
    _next: int
    _over: bool

    def __iter__(self) -> Iterator[Any]:
        while True:
            part, there = self._take()
            if there:
                yield part
            elif self._over:
                return
            elif not self._ready:
                self._note_end(self._get_more(_POLL_INTERVAL if not self.done() else 0))

    async def __aiter__(self) -> AsyncIterator[Any]:
        while True:
            part, there = self._take()
            if there:
                yield await part._result() if isinstance(part, Future) else part
            elif self._over:
                return
            elif not self._ready:
                self._note_end(await self._get_more_async(_POLL_INTERVAL if not self.done() else 0))

    def close(self) -> None:
        """Stop the task, if it runs, and forget the parts that were not taken."""
        if self._over:
            return
        if not self.done():
            why = "nobody takes its parts any more"
            self._session.post(CancelRequested([self._record.key], True, why))
        self._forget_parts()

    def _forget_parts(self) -> None:
        self._over = True
        session = self._session
        for kind in ("queue", "variable"):
            ask = Ask(next(session.ask_ids), kind, self._queue._wire_name, "retire", [], [])
            session.post(RequestMade(Asking(ask, nobody)))

    def __del__(self) -> None:
        try:
            self.close()
        except Exception:  # never made, or the client is closed: nobody is there to hear
            pass
        super().__del__()

    def _take(self) -> tuple[Any, bool]:
        """Return the next part, and whether it is there; parts that came again are skipped."""
        while self._ready:
            index, packed = self._ready.popleft()
            if index == _END:
                if packed == self._next:
                    self._forget_parts()  # the task is about to end: it is not to be stopped
                continue
            if index != self._next:
                continue
            if isinstance(packed, Future):
                try:
                    part = packed if self._session.asynchronous else packed.result()
                except DataLostError:  # its worker died: the task yields it again
                    continue
            else:
                part = loads_bytes(packed)
            self._next += 1
            return part, True
        return None, False

    def _get_more(self, seconds: float) -> bool:
        """Take what is in the queue, or wait a moment for something; return whether it came."""
        try:
            self._ready += self._queue._get_some(seconds)
        except TimeoutError:
            return False
        return True

    async def _get_more_async(self, seconds: float) -> bool:
        try:
            self._ready += await self._queue._get_some(seconds)
        except TimeoutError:
            return False
        return True

    def _note_end(self, came: bool) -> None:
        """Raise what ended the task, once nothing of it is left in the queue."""
        if came or not self.done():
            return
        if self._record.status in (ERROR, CANCELLED, LOST):
            error = self._failure()
            self.close()
            raise error
        if self._stalled:
            self.close()
            raise DataLostError(self._record.key, "its parts were lost with their scheduler")
        self._stalled = True

    _stalled = False

    def _failure(self) -> BaseException:
        error = error_of(self.client, self._record)
        return error if error is not None else RuntimeError(f"{self.key} was released")


class _Producer:
    """The function of a stream's task: a generator function and the queue of its parts."""

    def __init__(self, function: Callable[..., Any], name: str, buffer: int, resume: str) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self._stream = name
        self._buffer = buffer
        self._resume = resume

    def __reduce__(self) -> Any:
        return type(self), (self._function, self._stream, self._buffer, self._resume)

    def __call__(self, *args: Any, **kwargs: Any) -> int:
        position = Variable(self._stream) if self._resume else None
        count = 0
        if position is not None:
            try:
                count = position.get(timeout=0)
            except TimeoutError:  # it is the first run, or nothing came into the queue
                pass
            kwargs[self._resume] = count
        came = threading.Event()
        sender = self._sender(position, count, came.set)
        try:
            for part in self._function(*args, **kwargs):
                _send(sender, came, (count, self._packed(part)))
                count += 1
        except Exception:
            _wait_for(sender.all_came, came)  # the parts come first
            raise
        _send(sender, came, (_END, count))
        _wait_for(sender.all_came, came)
        return count

    def _sender(self, position: Variable | None, count: int, wake: Callable[[], object]) -> Sender:
        """Return what puts parts: half of those that may wait are under way, half in the queue."""
        ahead = max(1, self._buffer // 2)
        queue = Queue(self._stream, maxsize=max(1, self._buffer - ahead))
        return Sender(queue, ahead, position, count, wake)

    def _packed(self, part: Any) -> Any:
        """Return a part as it is put: a pickle, or a future where it is large."""
        data = dumps_bytes(part)
        client: Any = client_of_task() if len(data) > _LARGE and not self._resume else None
        if client is None:
            return data
        return client.scatter(part, workers=[get_worker().address], hash=False)


class _AsyncProducer(_Producer):
    """The same with an asynchronous generator."""

    async def __call__(self, *args: Any, **kwargs: Any) -> int:  # type: ignore[override]
        position = Variable(self._stream) if self._resume else None
        count = 0
        if position is not None:
            try:
                count = await position.get(timeout=0)
            except TimeoutError:
                pass
            kwargs[self._resume] = count
        loop, came = asyncio.get_running_loop(), asyncio.Event()
        sender = self._sender(position, count, lambda: loop.call_soon_threadsafe(came.set))
        try:
            async for part in self._function(*args, **kwargs):
                await _send_async(sender, came, (count, dumps_bytes(part)))
                count += 1
        except Exception:
            await _wait_for_async(sender.all_came, came)
            raise
        await _send_async(sender, came, (_END, count))
        await _wait_for_async(sender.all_came, came)
        return count


def _send(sender: Sender, came: threading.Event, item: Any) -> None:
    _wait_for(lambda: sender.offer(item), came)


def _wait_for(reached: Callable[[], bool], came: threading.Event) -> None:
    """Wait for a condition, which is looked at again at each answer.

    For more than a moment without the worker's thread. No wait is long, so the task can be stopped.
    """
    if reached():
        return
    until = time.monotonic() + _STAYS
    while (left := until - time.monotonic()) > 0:
        came.wait(left)
        came.clear()
        if reached():
            return
    with away():
        while not reached():
            came.wait(_POLL_INTERVAL)
            came.clear()


async def _send_async(sender: Sender, came: asyncio.Event, item: Any) -> None:
    await _wait_for_async(lambda: sender.offer(item), came)


async def _wait_for_async(reached: Callable[[], bool], came: asyncio.Event) -> None:
    if reached():
        return
    with aside():
        while not reached():
            await came.wait()
            came.clear()


def begin_stream(
    client: ClientContext,
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    buffer: int,
    resume: str | None,
) -> StreamFuture:
    """Submit a generator function; see `Client.stream`.

    Raises
    ------
    TypeError
        When the function is no generator function, or has no parameter to resume with.
    """
    is_async = inspect.isasyncgenfunction(function)
    if not (is_async or inspect.isgeneratorfunction(function)):
        raise TypeError(f"stream() takes a generator function, one that yields; got {function!r}")
    if resume is not None and resume not in inspect.signature(function).parameters:
        raise TypeError(f"resume={resume!r}: {function.__qualname__} has no parameter of that name")
    buffer = whole_number("buffer=", buffer, 1)
    queue = Queue(client=client, maxsize=buffer)
    kind = _AsyncProducer if is_async else _Producer
    producer = kind(function, queue.name, buffer, resume or "")
    submit: Callable[..., Future] = client.submit
    future = submit(producer, *args, pure=False, **kwargs)
    stream = StreamFuture.__new__(StreamFuture)
    stream._session, stream._record = future._session, future._record
    stream._held, future._held = True, False
    stream._queue, stream._ready, stream._next, stream._over = queue, deque(), 0, False
    return stream
