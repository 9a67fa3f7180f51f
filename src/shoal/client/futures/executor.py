"""A `concurrent.futures.Executor` whose calls run on the cluster."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import inspect
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from shoal._base.within import within
from shoal.client.core.events import CancelRequested
from shoal.client.core.state import CANCELLED, DONE, Record
from shoal.client.futures.future import Future

if TYPE_CHECKING:
    from shoal.client.session.context import ClientContext

__all__ = ["ClientExecutor"]

_OF_MAP = ("timeout", "chunksize", "buffersize")  # by version of Python
_TIMEOUT = 5.0  # seconds to wait for the cluster to say what runs
_OPTIONS = frozenset(
    {
        "allow_other_workers",
        "fifo_timeout",
        "priority",
        "pure",
        "resources",
        "retries",
        "workers",
    }
)
_NOT_OPTIONS = frozenset({"func", "self"})  # parameters of `Client.submit` that are none
_TAKEN = _OPTIONS | _NOT_OPTIONS | {"actor", "actors", "key"}


class ClientExecutor(concurrent.futures.Executor):
    """Calls run on the cluster; futures are those of `concurrent.futures`.

    Equal calls are one task, as with `Client.submit`: use ``pure=False`` for functions that return
    something else each time. A call goes on when nobody keeps its future. Other than in
    `concurrent.futures`, a call that runs can be cancelled too: nobody gets its result. Whether it
    has begun is known where it runs: `Future.running` asks there, which takes about a millisecond.
    On the client's own loop, which must not block, it goes by what was known before.

    Parameters
    ----------
    client : Client
        Where to.
    **kwargs
        Of `Client.submit`, for all calls: `workers`, `resources`, `retries`, `priority`,
        `allow_other_workers`, `fifo_timeout`, `pure`. `submit` and `map` take them too.
    """

    def __init__(self, client: ClientContext, **kwargs: Any) -> None:
        unknown = sorted(set(kwargs) - _OPTIONS)
        if unknown:
            raise TypeError(
                f"get_executor() takes {', '.join(sorted(_OPTIONS))}; got {', '.join(unknown)}"
            )
        self._client = client
        self._options = kwargs
        self._changed = threading.Condition()
        self._pending: dict[_Call, None] = {}
        self._shut = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._client!r}>"

    def submit(
        self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> concurrent.futures.Future[Any]:
        """Have a function called on the cluster.

        Parameters
        ----------
        fn : callable
            The function.
        *args, **kwargs
            Its arguments. Keywords of `Client.submit` are for that, and win over those of the
            executor, unless the function has parameters of these names.

        Raises
        ------
        RuntimeError
            After `shutdown`.
        """
        with self._changed:
            if self._shut:
                raise RuntimeError("cannot schedule new futures after shutdown")
            future = _submit(self._client, fn, args, kwargs, self._options)
            call = _Call(self, future)
            self._pending[call] = None
        call.watch()
        return call

    def map(
        self, fn: Callable[..., Any], *iterables: Iterable[Any], **kwargs: Any
    ) -> Iterator[Any]:
        """Call a function with each row of arguments; return an iterator of the results.

        Parameters
        ----------
        fn : callable
            The function.
        *iterables
            Its arguments.
        **kwargs
            `timeout` and `chunksize` as in `concurrent.futures`; keywords of `Client.submit`, and
            of the function.
        """
        own = {name: kwargs.pop(name) for name in _OF_MAP if name in kwargs}
        if kwargs:
            return _Caller(self, kwargs).map(fn, *iterables, **own)
        return super().map(fn, *iterables, **own)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls.

        Parameters
        ----------
        wait : bool
            Return only when all calls are done.
        cancel_futures : bool
            Cancel all that do not run yet.
        """
        with self._changed:
            self._shut = True
            pending = list(self._pending)
        if cancel_futures:
            _look(self._client, pending)
            for call in pending:
                if not call._began:
                    call.give_up()
        if not wait or not self._pending:
            return
        if self._client.loop == asyncio._get_running_loop():
            raise RuntimeError(
                "shutdown(wait=True) would block the loop that its calls need; await the futures "
                "with asyncio.wrap_future, then use wait=False"
            )
        with self._changed:
            self._changed.wait_for(lambda: not self._pending)

    def _ended(self, call: _Call) -> None:
        with self._changed:
            self._pending.pop(call, None)
            if not self._pending:
                self._changed.notify_all()


def _submit(
    client: ClientContext, fn: Callable[..., Any], args: Any, kwargs: Any, options: dict[str, Any]
) -> Future:
    submit: Callable[..., Future] = client.submit
    taken = kwargs.keys() & _TAKEN
    if not taken:
        return submit(fn, *args, **options, **kwargs)
    own = taken & (_parameters(fn) | _NOT_OPTIONS)
    given = {name: kwargs[name] for name in taken - own}
    rest = {name: value for name, value in kwargs.items() if name not in given}
    if own:
        return submit(_CallWith(fn, rest), *args, **{**options, **given})
    return submit(fn, *args, **{**options, **given}, **rest)


def _parameters(fn: Callable[..., Any]) -> set[str]:
    """Return the names that a function has parameters of."""
    try:
        parameters = inspect.signature(fn).parameters.values()
    except (TypeError, ValueError):  # builtins without one
        return set()
    return {p.name for p in parameters if p.kind is not p.VAR_KEYWORD}


class _CallWith:
    """A function with keywords that `Client.submit` would take for its own."""

    def __init__(self, fn: Callable[..., Any], kwargs: dict[str, Any]) -> None:
        self.fn = fn
        self.kwargs = kwargs
        self.__name__ = getattr(fn, "__name__", type(fn).__name__)

    def __call__(self, *args: Any) -> Any:
        return self.fn(*args, **self.kwargs)


class _Caller(concurrent.futures.Executor):
    """An executor whose calls all have the same keywords."""

    def __init__(self, executor: ClientExecutor, kwargs: dict[str, Any]) -> None:
        self._executor = executor
        self._kwargs = kwargs

    def submit(
        self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> concurrent.futures.Future[Any]:
        return self._executor.submit(fn, *args, **self._kwargs, **kwargs)


class _Call(concurrent.futures.Future[Any]):
    """The future of one call."""

    def __init__(self, executor: ClientExecutor, future: Future) -> None:
        super().__init__()
        self._keeper: ClientExecutor | None = executor  # calls go on when the executor is forgotten
        self._future: Future | None = future
        self._settling = threading.Lock()
        self._began = False
        self._settled = False

    def watch(self) -> None:
        """Hear of the end of the task."""
        future = self._future
        if future is None:  # cancelled already
            return
        loop = future._session.loop
        assert loop is not None

        def when_done(record: Record) -> None:
            try:
                loop.call_soon_threadsafe(self._begin_fetch, future)
            except RuntimeError:  # the loop is closed
                self._finish((None, concurrent.futures.CancelledError()))

        record = future._record
        with future._session.lock:
            if record.status not in DONE:
                record.watch = (*record.watch, when_done)
                return
        when_done(record)

    def _begin_fetch(self, future: Future) -> None:
        task = asyncio.ensure_future(self._fetch(future))
        _fetching.add(task)
        task.add_done_callback(_fetching.discard)

    async def _fetch(self, future: Future) -> None:
        outcome: tuple[Any, BaseException | None]
        try:
            outcome = (await future, None)
        except BaseException as error:
            outcome = (None, error)
        if future._record.status == CANCELLED:
            outcome = (None, concurrent.futures.CancelledError())
        # In a thread of its own: what users hang on to the future may wait for the cluster.
        future.client._callbacks.call(self._finish, outcome, "the callback of an executor")

    def _finish(self, outcome: tuple[Any, BaseException | None]) -> None:
        value, error = outcome
        if isinstance(error, concurrent.futures.CancelledError):
            self._settle(cancel=True)
        elif self._settle():
            if error is not None:
                self.set_exception(error)
            else:
                self.set_result(value)
        self._let_go()

    def begin(self) -> None:
        """It was seen to run."""
        self._began = True

    def _settle(self, cancel: bool = False) -> bool:
        """Decide, once, that it is over; return whether this call did so."""
        with self._settling:
            if self._settled:
                return False
            self._settled = True
        if cancel:
            super().cancel()
        self.set_running_or_notify_cancel()
        return True

    def _let_go(self) -> None:
        executor, self._keeper = self._keeper, None
        self._future = None
        if executor is not None:
            executor._ended(self)

    def __repr__(self) -> str:
        text = super().__repr__()
        return text.replace("state=pending", "state=running") if self._began else text

    def running(self) -> bool:
        """Return whether the call runs at this moment."""
        self._ask()
        return self._began and not self.done()

    def cancel(self) -> bool:
        """Cancel the call, unless it is done; return whether it is cancelled."""
        return self.give_up()

    def _ask(self) -> None:
        future = self._future
        if future is not None and not self._began and not self.done():
            _look(future.client, [self])

    def give_up(self) -> bool:
        """Cancel the call, unless it is known to be done."""
        future = self._future
        if not self._settle(cancel=True):
            return self.cancelled()
        if future is not None:
            try:
                future.client.loop.call_soon_threadsafe(_cancel, future)
            except RuntimeError:  # the loop is closed
                pass
        self._let_go()
        return True

    @property
    def key(self) -> str | None:
        """The task's key, until it is over."""
        future = self._future
        return None if future is None else future._record.key


def _look(client: ClientContext, calls: list[_Call]) -> None:
    """Learn which of some calls run now. Does not wait where that would block the loop."""
    by_key = {call.key: call for call in calls}
    by_key.pop(None, None)
    loop = client._session.loop
    if not by_key or loop is None or loop.is_closed():
        return

    async def ask() -> None:
        # A cluster that does not answer has said nothing about them.
        with contextlib.suppress(OSError, RuntimeError, asyncio.TimeoutError):
            found = await within(client.scheduler.call_stack(keys=list(by_key)), _TIMEOUT)
            for stacks in found.values():
                for key in stacks:
                    by_key[key].begin()

    if loop == asyncio._get_running_loop():
        task = loop.create_task(ask())
        _asking.add(task)
        task.add_done_callback(_asking.discard)
        return
    try:
        asyncio.run_coroutine_threadsafe(ask(), loop).result(2 * _TIMEOUT)
    except (RuntimeError, TimeoutError, concurrent.futures.CancelledError):  # it is closing
        pass


def _cancel(future: Future) -> None:
    session = future._session
    session.outbox.drain()
    session.hand(CancelRequested([future._record.key], False, "cancelled through its executor"))


_fetching: set[asyncio.Future[None]] = set()
_asking: set[asyncio.Task[None]] = set()
