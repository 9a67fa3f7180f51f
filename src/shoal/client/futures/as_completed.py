"""`as_completed`: futures in the order in which they are done."""

from __future__ import annotations

import asyncio
import logging
import queue
import sys
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from typing import Any

from shoal.client.core.state import DONE, FINISHED, Record
from shoal.client.current import current_client
from shoal.client.futures.fetching import fetch
from shoal.client.futures.future import Future, futures_of, is_empty, seconds_or_none
from shoal.client.futures.outcome import Value, error_of, load, value_at_hand
from shoal.client.session.session import Session
from shoal.task_context import aside, away

__all__ = ["as_completed"]

logger = logging.getLogger("shoal.client")

# Windows does not interrupt a thread that waits: Ctrl-C is looked for this often there.
_POLL = 0.1 if sys.platform == "win32" else None


class as_completed:
    """Return futures in the order in which they are done.

    Parameters
    ----------
    futures : collection of futures, optional
        The futures to wait for; `add` takes more at any time.
    loop : object, optional
        Not used; futures know their loop.
    with_results : bool
        Yield pairs of future and result; results are fetched in the background.
    raise_errors : bool
        With results: raise the error of a future that failed. Otherwise the pair holds the error.
    timeout : float or str, optional
        Seconds from now after which the iteration raises `TimeoutError`.

    Notes
    -----
    Iterate with ``for`` in ordinary and with ``async for`` in asynchronous code. The iteration ends
    when every future that was added has been returned.

    Examples
    --------
    >>> for future in as_completed(client.map(inc, range(3))):  # doctest: +SKIP
    ...     print(future.result())
    >>> for future, result in as_completed(futures, with_results=True):  # doctest: +SKIP
    ...     print(result)
    """

    def __init__(
        self,
        futures: Iterable[Any] | None = None,
        loop: Any = None,
        with_results: bool = False,
        raise_errors: bool = True,
        *,
        timeout: float | str | None = None,
    ) -> None:
        self.with_results = with_results
        self.raise_errors = raise_errors
        seconds = seconds_or_none(timeout)
        self._deadline = None if seconds is None else time.monotonic() + seconds
        # The condition guards the four below.
        self._news = threading.Condition()
        self._waiting: dict[tuple[Session, str], list[Future]] = {}
        self._ready: deque[tuple[Future, Value | None]] = deque()
        self._left = 0
        self._sleepers: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self._to_fetch: dict[Session, list[Record]] = {}  # touched on the loop only
        self._fetching: set[asyncio.Task[None]] = set()
        if futures is not None:
            self.update(futures)

    # ------------------------------------------------------------------ adding futures

    def add(self, future: Future) -> None:
        """Wait for one more future."""
        self.update([future])

    def update(self, futures: Iterable[Any]) -> None:
        """Wait for more futures."""
        chosen = _futures_in(futures)
        for future in chosen:
            session, record = future._session, future._record
            watcher = _Watcher(self, session)
            with self._news:
                self._left += 1
                self._waiting.setdefault((session, record.key), []).append(future)
            with session.lock:
                pending = record.status not in DONE
                if pending:
                    record.watch = (*record.watch, watcher)
            if not pending:
                if self.with_results and record.status == FINISHED and record.value is None:
                    assert session.loop is not None
                    session.loop.call_soon_threadsafe(watcher, record)
                else:
                    watcher(record)

    def count(self) -> int:
        """Return how many futures were not returned yet."""
        return self._left

    def is_empty(self) -> bool:
        """Whether every future was returned."""
        return not self._left

    def has_ready(self) -> bool:
        """Whether a future can be returned at once."""
        return bool(self._ready)

    def clear(self) -> None:
        """Forget all futures."""
        with self._news:
            self._waiting.clear()
            self._ready.clear()
            self._left = 0
        self._wake()

    # ------------------------------------------------------------------ attributes that joblib uses

    @property
    def lock(self) -> threading.Condition:
        """The lock to hold while `futures` and `queue` are changed."""
        return self._news

    @property
    def loop(self) -> Any:
        """The event loop of the client whose futures these are; of the current one by default."""
        with self._news:
            sessions = [session for session, _ in self._waiting]
            sessions += [future._session for future, _ in self._ready]
        client = sessions[0].client if sessions else current_client()
        return client.loop

    @property
    def thread_condition(self) -> threading.Condition:
        """The condition that is notified when a future is done; the same as `lock`."""
        return self._news

    @property
    def futures(self) -> _Pending:
        """The futures that are not done yet: to be counted, and cleared."""
        return _Pending(self)

    @property
    def queue(self) -> _Done:
        """The futures that are done and were not returned yet."""
        return _Done(self)

    # ------------------------------------------------------------------ news, on the loop

    def _done(self, session: Session, record: Record) -> None:
        value = value_at_hand(session, record) if self.with_results else None
        if self.with_results and value is None and record.status == FINISHED:
            batch = self._to_fetch.setdefault(session, [])
            if not batch:  # all that is done in this turn of the loop is fetched together
                asyncio.get_running_loop().call_soon(self._start_fetch, session)
            batch.append(record)
            return
        self._put(session, record, value)

    def _start_fetch(self, session: Session) -> None:
        records = self._to_fetch.pop(session)
        task = asyncio.get_running_loop().create_task(self._fetch(session, records))
        self._fetching.add(task)
        task.add_done_callback(self._fetching.discard)

    async def _fetch(self, session: Session, records: list[Record]) -> None:
        values: dict[str, Value] = {}
        try:
            values = await fetch(session.client, records, None)
        except Exception as error:  # the iterating caller tries again, and gets the error
            logger.info("results that are done cannot be fetched: %r", error)
        finally:  # however it ended, no iteration waits for ever
            for record in records:
                self._put(session, record, values.get(record.key))

    def _put(self, session: Session, record: Record, value: Value | None) -> None:
        with self._news:
            for future in self._waiting.pop((session, record.key), ()):
                self._ready.append((future, value))
        self._wake()

    def _wake(self) -> None:
        with self._news:
            sleepers, self._sleepers = self._sleepers, []
            self._news.notify_all()
        for loop, sleeper in sleepers:
            try:
                loop.call_soon_threadsafe(_finish, sleeper)
            except RuntimeError:  # that loop was closed: nobody sleeps there any more
                pass

    # ------------------------------------------------------------------ iteration

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        self._check_blocking()
        taken = self._take_blocking(one=True)
        if not taken:
            raise StopIteration
        return self._answer(taken[0])

    def next(self) -> Any:
        """Return the next future, or pair of future and result; waits until there is one."""
        return self.__next__()

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        taken = await self._take(one=True)
        if not taken:
            raise StopAsyncIteration
        return await self._answer_async(taken[0])

    def next_batch(self, block: bool = True) -> list[Any]:
        """Return all futures that are done; wait for the first when `block`."""
        self._check_blocking()
        if not block and not self._ready:
            return []
        taken = self._take_blocking(one=False)
        answers: list[Any] = []
        try:
            for item in taken:
                answers.append(self._answer(item))
        except BaseException:
            self._put_back(taken, len(answers))
            raise
        return answers

    def batches(self) -> _Batches:
        """Iterate over lists of what got done since the last look.

        Examples
        --------
        >>> for batch in as_completed(futures).batches():  # doctest: +SKIP
        ...     print(len(batch))
        """
        return _Batches(self)

    def _check_blocking(self) -> None:
        for futures in self._waiting.values():
            if futures[0]._session.asynchronous:
                raise TypeError("in asynchronous code use `async for` with as_completed")
            break

    def _seconds_left(self) -> float | None:
        if self._deadline is None:
            return None
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"{self._left} futures were not done in time")
        return left

    def _take_blocking(self, one: bool) -> list[tuple[Future, Value | None]]:
        with self._news:
            if self._ready or not self._left:
                return self._take_ready(one)
        # Not with the lock held: a task that comes back to its worker's threads may have to wait.
        with away(), self._news:
            while self._left and not self._ready:
                left = self._seconds_left()
                waits = [seconds for seconds in (left, _POLL) if seconds is not None]
                self._news.wait(min(waits, default=None))
            return self._take_ready(one)

    async def _take(self, one: bool) -> list[tuple[Future, Value | None]]:
        while True:
            with self._news:
                if self._ready or not self._left:
                    return self._take_ready(one)
                loop = asyncio.get_running_loop()
                sleeper: asyncio.Future[None] = loop.create_future()
                self._sleepers.append((loop, sleeper))
            with aside():
                await asyncio.wait([sleeper], timeout=self._seconds_left())

    def _take_ready(self, one: bool) -> list[tuple[Future, Value | None]]:
        taken = []
        while self._ready:
            taken.append(self._ready.popleft())
            self._left -= 1
            if one:
                break
        return taken

    def _put_back(self, taken: list[tuple[Future, Value | None]], failed: int) -> None:
        """One of the taken futures failed: the others are there for a caller that goes on."""
        others = taken[:failed] + taken[failed + 1 :]
        with self._news:
            self._ready.extendleft(reversed(others))
            self._left += len(others)

    def _answer(self, item: tuple[Future, Value | None]) -> Any:
        future, value = item
        if not self.with_results:
            return future
        error = error_of(future.client, future._record)
        if value is not None or error is None:
            try:
                # Without a value: it was lost since and is computed again, or cannot be had.
                return future, future.result() if value is None else load(future.client, value)
            except Exception as problem:
                error = problem
        return self._failed(future, error)

    async def _answer_async(self, item: tuple[Future, Value | None]) -> Any:
        future, value = item
        if not self.with_results:
            return future
        error = error_of(future.client, future._record)
        if value is not None or error is None:
            try:
                return future, await future if value is None else load(future.client, value)
            except Exception as problem:
                error = problem
        return self._failed(future, error)

    def _failed(self, future: Future, error: BaseException) -> tuple[Future, BaseException]:
        if self.raise_errors:
            raise error
        return future, error


class _Batches:
    """Iterates over batches, both ways."""

    def __init__(self, source: as_completed) -> None:
        self._source = source

    def __iter__(self) -> Iterator[list[Any]]:
        return self

    def __next__(self) -> list[Any]:
        batch = self._source.next_batch()
        if not batch:
            raise StopIteration
        return batch

    def __aiter__(self) -> AsyncIterator[list[Any]]:
        return self

    async def __anext__(self) -> list[Any]:
        taken = await self._source._take(one=False)
        if not taken:
            raise StopAsyncIteration
        answers: list[Any] = []
        try:
            for item in taken:
                answers.append(await self._source._answer_async(item))
        except BaseException:
            self._source._put_back(taken, len(answers))
            raise
        return answers


class _Pending:
    """The futures that are waited for."""

    def __init__(self, source: as_completed) -> None:
        self._source = source

    def __len__(self) -> int:
        with self._source._news:
            return sum(map(len, self._source._waiting.values()))

    def clear(self) -> None:
        with self._source._news:
            self._source._waiting.clear()
            self._source._left = len(self._source._ready)
        self._source._wake()


class _Done:
    """The futures that are done, as a queue."""

    def __init__(self, source: as_completed) -> None:
        self._source = source

    def empty(self) -> bool:
        return not self._source._ready

    def get(self) -> Future:
        """Take the first, whatever its result.

        Raises
        ------
        queue.Empty
            When none is done.
        """
        with self._source._news:
            taken = self._source._take_ready(one=True)
        if not taken:
            raise queue.Empty
        return taken[0][0]


class _Watcher:
    __slots__ = ("session", "source")

    def __init__(self, source: as_completed, session: Session) -> None:
        self.source = source
        self.session = session

    def __call__(self, record: Record) -> None:
        self.source._done(self.session, record)


def _futures_in(futures: Iterable[Any]) -> list[Future]:
    """Return futures in their order, also those that are there twice, and cancelled ones."""
    chosen: list[Future] = []
    if isinstance(futures, Future):
        return [futures]
    if isinstance(futures, Mapping) or not isinstance(futures, Iterable):
        raise TypeError(f"as_completed takes futures, not the {type(futures).__name__} {futures!r}")
    for item in futures:
        if isinstance(item, Future):
            chosen.append(item)
            continue
        found = futures_of(item)
        if not found and not is_empty(item):
            raise TypeError(f"as_completed takes futures, not the {type(item).__name__} {item!r}")
        chosen += found
    return chosen


def _finish(sleeper: asyncio.Future[None]) -> None:
    if not sleeper.done():
        sleeper.set_result(None)
