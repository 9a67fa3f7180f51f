"""`Future`, and what works on any number of them."""

from __future__ import annotations

import asyncio
import builtins
import sys
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Generator, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any

from dask._task_spec import TaskRef
from dask.base import is_dask_collection
from dask.utils import parse_timedelta

from shoal._base.keys import decode_key, encode_key
from shoal._base.loop import sync
from shoal.client.core.events import FireRequested
from shoal.client.core.state import CANCELLED, DONE, ERROR, FINISHED, LOST, Record
from shoal.client.current import given_or_current
from shoal.client.futures.fetching import fetch
from shoal.client.futures.late import late, late_async
from shoal.client.futures.outcome import error_of, load, value_at_hand
from shoal.client.in_task.task_client import client_here
from shoal.errors import FutureCancelledError
from shoal.task_context import away

if TYPE_CHECKING:
    from shoal.client.session.context import ClientContext
    from shoal.client.session.session import Session

__all__ = [
    "Future",
    "collect_pickled",
    "find_futures",
    "fire_and_forget",
    "futures_of",
    "make_future",
    "make_futures",
    "seconds_or_none",
]


class Future(TaskRef):
    """The result of a task, now or later.

    The task runs, and its result is kept on a worker, as long as there is a future of its key.

    Parameters
    ----------
    key : str or tuple
        Key of the result.
    client : Client, optional
        Whose future it is; the current one by default.
    inform : bool
        Tell the scheduler that this client wants the result.
    state : object, optional
        Not used; other libraries pass it.

    See Also
    --------
    Client.submit : makes futures

    Examples
    --------
    >>> future = client.submit(add, 1, 2)  # doctest: +SKIP
    >>> future  # doctest: +SKIP
    <Future: status: finished, type: int, key: add-8f6e709446674bad78ea8aeecfee188e>
    >>> future.result()  # doctest: +SKIP
    3
    """

    # A dict, made when first used: prefect-dask notes on a future whose run it is.
    __slots__ = ("__dict__", "__weakref__", "_held", "_record", "_session")

    # dask treats what has this mark, or is a `TaskRef`, as a reference to a key.
    __dask_future__ = True

    # Futures are told apart, and other references are not.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    _held: bool
    _record: Record
    _session: Session

    def __init__(
        self, key: Any, client: ClientContext | None = None, inform: bool = True, state: Any = None
    ) -> None:
        self._held = False
        if isinstance(key, Future):
            client = key.client if client is None else client
            key = key.key
        self._record = Record(encode_key(key))
        self._session = UNBOUND
        try:
            client = given_or_current(client)
        except ValueError:
            return  # until `bind_client`
        self._bind(client._session, inform)

    def _bind(self, session: Session, inform: bool = True) -> None:
        key = self._record.key
        if inform:
            record = session.share(Record(key))
        else:
            record = session.find(key) or Record(key, futures=1)
        self._session, self._record = session, record
        self._held = True

    def bind_client(self, client: ClientContext) -> None:
        """Make this a future of a client, if it is none's yet.

        A future that is made, or unpickled, where there is no client is nobody's.

        Parameters
        ----------
        client : Client
            Whose future it shall be.
        """
        if self._session is UNBOUND:
            self._bind(client._session)

    @property
    def key(self) -> Any:  # type: ignore[override]  # a plain attribute of `TaskRef`
        """The key of the result."""
        return decode_key(self._record.key)

    @property
    def client(self) -> ClientContext:
        """The client whose future this is."""
        return self._session.client

    @property
    def executor(self) -> ClientContext:
        """The same: what executes this."""
        return self._session.client

    @property
    def status(self) -> str:
        """``pending``, ``finished``, ``error`` or ``cancelled``.

        Data that was scattered and is lost is cancelled; the error says so (`DataLostError`).
        """
        status = self._record.status
        return CANCELLED if status == LOST else status

    @property
    def type(self) -> Any:
        """The type of the result; its name where the class is not known here, `None` until then."""
        name = self._record.type
        return _find_type(name) if name else None

    def done(self) -> bool:
        """Whether there is nothing to wait for: a result, an error, a cancellation."""
        return self._record.status in DONE

    def cancelled(self) -> bool:
        """Whether it was cancelled, or is data that is lost."""
        return self.status == CANCELLED

    # ------------------------------------------------------------------ outcomes

    def result(self, timeout: float | str | None = None) -> Any:
        """Wait for the task and return its result.

        Parameters
        ----------
        timeout : float or str, optional
            Seconds, or a text such as ``"5s"``.

        Raises
        ------
        TimeoutError
            When it is not done in time.
        CancelledError
            When the task was cancelled.
        Exception
            The exception of the task, with the traceback of its frames on the worker.

        Notes
        -----
        In asynchronous code this returns an awaitable.
        """
        session = self._session
        if session.asynchronous:
            return _bounded(self._result(), seconds_or_none(timeout), self)
        deadline = _Deadline(timeout)
        record = self._record
        while True:
            status = record.status
            if status == FINISHED:
                # Read once: the loop may take it away when the data is lost.
                value = value_at_hand(session, record)
                if value is not None:
                    return load(session.client, value)
                fetched = self._fetch(deadline)
                if fetched is not None:
                    return load(session.client, fetched)
            elif status in DONE:
                error = error_of(session.client, record)
                if error is not None:
                    try:
                        raise error
                    finally:
                        del error  # the traceback refers to this frame; break the cycle
            else:
                self._block(deadline)

    def exception(self, timeout: float | str | None = None, **kwargs: Any) -> Any:
        """Wait for the task and return its exception, `None` when it ended well.

        Parameters
        ----------
        timeout : float or str, optional
            Seconds, or a text; `TimeoutError` is raised when it is not done in time.
        """
        if self._session.asynchronous:
            return _bounded(self._exception(), seconds_or_none(timeout), self)
        deadline = _Deadline(timeout)
        while not self.done():
            self._block(deadline)
        return error_of(self.client, self._record)

    def traceback(self, timeout: float | str | None = None, **kwargs: Any) -> Any:
        """Wait for the task and return the traceback of its exception, `None` when it ended well.

        Parameters
        ----------
        timeout : float or str, optional
            Seconds, or a text; `TimeoutError` is raised when it is not done in time.
        """
        if self._session.asynchronous:
            return _bounded(self._traceback(), seconds_or_none(timeout), self)
        error = self.exception(timeout)
        return None if error is None else error.__traceback__

    def _block(self, deadline: _Deadline) -> None:
        self._check_held()
        if not self._session.block((self._record,), deadline.left()):
            raise late(self.client, self._late(deadline.seconds), self._record.key)

    def _fetch(self, deadline: _Deadline) -> Any:
        try:
            with away():  # lost results are computed again
                values = sync(
                    self._session.loop,
                    fetch,
                    self.client,
                    [self._record],
                    None,
                    callback_timeout=deadline.left(),
                )
        except TimeoutError:
            raise late(self.client, self._late(deadline.seconds), self._record.key) from None
        return values.get(self._record.key)

    def _late(self, seconds: float | None) -> str:
        return f"{self.key!r} is {self.status}, waited {seconds} s"

    def _check_held(self) -> None:
        if not self._held:
            raise FutureCancelledError(self._record.key, "this future was released")

    async def _result(self, raiseit: bool = True) -> Any:
        session, record = self._session, self._record
        while True:
            await self._until_done()
            error = error_of(session.client, record)
            if error is not None:
                if not raiseit:
                    return error
                try:
                    raise error
                finally:
                    del error
            value: Any = value_at_hand(session, record)
            if value is None and record.status == FINISHED:
                coroutine = fetch(session.client, [record], None)
                if asyncio.get_running_loop() is not session.loop and session.loop is not None:
                    waiting = asyncio.run_coroutine_threadsafe(coroutine, session.loop)
                    value = (await asyncio.wrap_future(waiting)).get(record.key)
                else:
                    value = (await coroutine).get(record.key)
            if value is not None:
                return load(session.client, value)

    async def _exception(self) -> BaseException | None:
        await self._until_done()
        return error_of(self.client, self._record)

    async def _traceback(self) -> TracebackType | None:
        error = await self._exception()
        return None if error is None else error.__traceback__

    async def _until_done(self) -> None:
        while not self.done():
            self._check_held()
            await self._session.until((self._record,))

    def __await__(self) -> Generator[Any, None, Any]:
        return self._result().__await__()

    def add_done_callback(self, fn: Callable[[Future], Any]) -> None:
        """Call `fn` with this future when it is done, however it ended; in a thread of its own."""
        self.client._callbacks.add(self, fn)

    # ------------------------------------------------------------------ requests

    def cancel(self, reason: str | None = None, msg: str | None = None, **kwargs: Any) -> Any:
        """Cancel the task, and those that depend on it.

        Parameters
        ----------
        reason, msg : str, optional
            The text of the error that other clients get.
        force : bool
            Also when other clients want the result, and stop its code if it runs.

        See Also
        --------
        Client.cancel
        """
        return self.client.cancel([self], reason=reason, msg=msg, **kwargs)

    def retry(self, **kwargs: Any) -> Any:
        """Run the task again if it failed.

        See Also
        --------
        Client.retry
        """
        return self.client.retry([self], **kwargs)

    def release(self) -> None:
        """Give up the claim on the result, as dropping the last reference to the future does."""
        if self._held:
            self._held = False
            self._session.release(self._record)

    def __del__(self) -> None:
        try:
            if self._held:
                self._session.release(self._record)
        except (AttributeError, TypeError):  # never made, or the interpreter is half gone
            pass

    def __dask_tokenize__(self) -> tuple[str, str]:
        return "shoal-future", self._record.key

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        pickled = getattr(_pickled, "futures", None)
        if pickled is not None:
            pickled.append(self)
        return _load_future, (self._record.key,)

    def __repr__(self) -> str:
        record = self._record
        kind = f" type: {_short(record.type)}," if record.type else ""
        return f"<Future: status: {self.status},{kind} key: {record.key}>"

    __str__ = __repr__  # not the key, as of other references

    def _repr_html_(self) -> str:
        record = self._record
        kind = f" <b>type:</b> {_escape(_short(record.type))}," if record.type else ""
        return f"<b>Future:</b> {self.status},{kind} <b>key:</b> {_escape(record.key)}"


class _Unbound:
    """The session of futures that belong to no client."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(
            "this future belongs to no client: it was made, or unpickled, where there was none; "
            "make a Client and call future.bind_client(client)"
        )

    def __repr__(self) -> str:
        return "<no client>"


UNBOUND: Any = _Unbound()


def make_future(session: Session, record: Record) -> Future:
    """Return a future of a record that was counted already."""
    future = Future.__new__(Future)
    future._session = session
    future._record = record
    future._held = True
    return future


def make_futures(session: Session, records: Iterable[Record]) -> list[Future]:
    """`make_future` of each."""
    new = Future.__new__
    futures: list[Future] = []
    for record in records:
        future = new(Future)
        future._session = session
        future._record = record
        future._held = True
        futures.append(future)
    return futures


class _Deadline:
    """A time by which all of several steps must be done."""

    __slots__ = ("_at", "seconds")

    def __init__(self, timeout: float | str | None) -> None:
        self.seconds = seconds_or_none(timeout)
        self._at = None if self.seconds is None else time.monotonic() + self.seconds

    def left(self) -> float | None:
        return None if self._at is None else max(0.0, self._at - time.monotonic())


def seconds_or_none(timeout: float | str | None) -> float | None:
    """Return seconds of what a user gave as a time to wait."""
    return None if timeout is None else float(parse_timedelta(timeout, default="s"))


async def _bounded(awaitable: Awaitable[Any], timeout: float | None, future: Future) -> Any:
    if timeout is None:
        return await awaitable
    try:
        async with asyncio.timeout(timeout) as scope:
            return await awaitable
    except TimeoutError:
        if not scope.expired():  # the task's own
            raise
        text = future._late(timeout)
    raise await late_async(future.client, text, future._record.key)


# ---------------------------------------------------------------------- pickling


class _Pickled(threading.local):
    futures: list[Future] | None = None


_pickled = _Pickled()


class collect_pickled:
    """Context manager: collect the futures that this thread pickles, to keep them alive."""

    __slots__ = ("_before", "futures")

    def __enter__(self) -> list[Future]:
        self._before = _pickled.futures
        self.futures: list[Future] = []
        _pickled.futures = self.futures
        return self.futures

    def __exit__(self, *exc_info: object) -> None:
        _pickled.futures = self._before


def _load_future(key: str) -> Future:
    try:
        session = client_here()._session
    except ValueError:
        return Future(decode_key(key))  # without a client: see `bind_client`
    return make_future(session, session.share(Record(key)))


# ---------------------------------------------------------------------- types by name


def _find_type(name: str) -> Any:
    """Return the class of that name when its module is loaded here, else the name."""
    module, _, qualname = name.rpartition(".")
    namespace: Any = builtins if not module else sys.modules.get(module)
    found = getattr(namespace, qualname, None)
    return found if isinstance(found, type) else name


def _short(name: str) -> str:
    module, _, qualname = name.rpartition(".")
    return f"{module.partition('.')[0]}.{qualname}" if module != "builtins" and module else qualname


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


# ---------------------------------------------------------------------- any number of futures


def futures_of(o: Any, client: ClientContext | None = None) -> list[Future]:
    """Return the futures in containers of Python and in dask collections, each once.

    Parameters
    ----------
    o : object
        A future, a collection or a container of them.
    client : Client, optional
        Leave out the futures of other clients.

    Raises
    ------
    CancelledError
        When one of them was cancelled.
    """
    found = find_futures(o)
    if client is not None:
        found = [future for future in found if future.client is client]
    for future in found:
        if future.cancelled():
            raise error_of(future.client, future._record) or FutureCancelledError(future.key, "")
    return found


# Containers in which futures are found.
_ROWS: Any = (list, tuple, set, frozenset, deque, type({}.keys()), type({}.values()))


def is_empty(o: Any) -> bool:
    """Whether it is a container with nothing in it."""
    return isinstance(o, (*_ROWS, dict)) and not o


def find_futures(o: Any) -> list[Future]:
    """`futures_of`, where cancelled ones are fine."""
    if type(o) is list and {*map(type, o)} == {Future}:
        return list(dict.fromkeys(o))
    found: dict[int, Future] = {}
    stack: list[Any] = [o]
    while stack:
        item = stack.pop()
        if isinstance(item, Future):
            found[id(item)] = item
        elif isinstance(item, _ROWS):
            stack += reversed(list(item))
        elif isinstance(item, dict):
            stack += reversed(list(item.values()))
        elif is_dask_collection(item):
            stack += reversed(list(dict(item.__dask_graph__()).values()))
    return list(found.values())


def fire_and_forget(obj: Any) -> None:
    """Have tasks run at least once, even when no future of them is left.

    Their results are not kept, so this is for tasks with effects of their own.

    Parameters
    ----------
    obj : Future, list, dict, dask collection
        The futures.

    Examples
    --------
    >>> fire_and_forget(client.submit(func, *args))  # doctest: +SKIP
    """
    by_session: dict[Session, list[str]] = {}
    found = futures_of(obj)
    if not found and not is_empty(obj):
        raise TypeError(f"fire_and_forget takes futures; there is none in {obj!r:.100}")
    for future in found:
        if future.status not in (ERROR, CANCELLED):
            by_session.setdefault(future._session, []).append(future._record.key)
    for session, keys in by_session.items():
        session.post(FireRequested(keys))
