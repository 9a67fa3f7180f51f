"""The event loop behind blocking calls: one thread a process, and the bridge into it.

Clients and clusters that are used from ordinary code run their coroutines on the process's shared
loop thread; asynchronous ones run on the loop they are made in. Nothing here knows what runs there.
"""

from __future__ import annotations

import asyncio
import atexit
import inspect
import os
import sys
import threading
import weakref
from collections.abc import Callable, Coroutine
from typing import Any, Literal, TypeVar, cast, overload

import dask.config

from shoal._base.both_loops import BothLoops, as_asyncio_loop, both_loops
from shoal._base.within import within

__all__ = [
    "LoopRunner",
    "SyncMethodMixin",
    "as_asyncio_loop",
    "is_inherited",
    "new_event_loop",
    "sync",
]

T = TypeVar("T")

# Windows does not interrupt a thread that waits for a lock: Ctrl-C is looked for this often there.
_POLL = 0.1 if sys.platform == "win32" else None


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Make the kind of event loop that ``distributed.admin.event-loop`` asks for.

    ``auto`` is uvloop where it is installed, ``uvloop`` requires it, ``asyncio`` is the standard.
    ``tornado`` means ``auto``: an installed `distributed` brings that word as its own default.

    Raises
    ------
    ValueError
        When the setting is something else, or uvloop is required and not installed.
    """
    kind = dask.config.get("distributed.admin.event-loop", default="auto")
    if kind not in ("auto", "asyncio", "uvloop", "tornado"):
        raise ValueError(
            f"configuration 'distributed.admin.event-loop' is {kind!r}; "
            "it must be 'auto', 'asyncio' or 'uvloop'"
        )
    if kind != "asyncio":
        try:
            import uvloop
        except ImportError:
            if kind == "uvloop":
                raise ValueError(
                    "configuration 'distributed.admin.event-loop' is 'uvloop', which is not "
                    "installed; install it or set 'auto'"
                ) from None
        else:
            return cast(asyncio.AbstractEventLoop, uvloop.new_event_loop())
    return asyncio.new_event_loop()


_inherited: dict[int, asyncio.AbstractEventLoop] = {}  # by id; kept, so that ids stay theirs


def is_inherited(loop: Any) -> bool:
    """Whether a loop ran in a thread of the process that this one was forked from."""
    return bool(_inherited) and id(loop) in _inherited


class _LoopThread:
    """A daemon thread that runs one event loop until it is told to stop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, name: str) -> None:
        self.loop = loop
        _threads.add(self)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive() and not self.loop.is_closed()

    def stop(self, timeout: float) -> None:
        """End thread and loop; what still runs on the loop is cancelled."""
        if is_inherited(self.loop):
            return  # to close it would take the parent's connections from under it
        if self._thread.is_alive():
            self.loop.call_soon_threadsafe(self._cancel_all)
            self._thread.join(timeout)
        if not self._thread.is_alive() and not self.loop.is_closed():
            self.loop.close()

    def _cancel_all(self) -> None:
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        # The turn after the next: each task gets one to take notice.
        self.loop.call_soon(self.loop.call_soon, self.loop.stop)


_threads: weakref.WeakSet[_LoopThread] = weakref.WeakSet()
_shared: _LoopThread | None = None
_lock = threading.Lock()


def _shared_loop() -> asyncio.AbstractEventLoop:
    """Return the process's loop, on its thread; started when it is first asked for."""
    global _shared
    with _lock:
        if _shared is None or not _shared.alive:
            _shared = _LoopThread(new_event_loop(), "shoal-loop")
        return _shared.loop


def _stop_shared_loop() -> None:
    # Registered when this module is imported, so it runs after the handlers of the loop's users.
    global _shared
    with _lock:
        thread, _shared = _shared, None
    if thread is not None:
        thread.stop(timeout=2)


def _forget_shared_loop() -> None:
    # A forked child inherits the loop but not its thread.
    global _shared, _lock
    _shared = None
    _lock = threading.Lock()
    _inherited.update((id(thread.loop), thread.loop) for thread in list(_threads))
    _threads.clear()


atexit.register(_stop_shared_loop)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_shared_loop)


class LoopRunner:
    """Finds or starts the event loop that a client or cluster lives on.

    Parameters
    ----------
    loop : event loop, optional
        A loop of the caller's. When it is not running, `start` runs it in a thread of its own.
    asynchronous : bool
        Use the loop that is running here, and start none.
    """

    def __init__(self, loop: Any = None, asynchronous: bool = False) -> None:
        self._asynchronous = asynchronous
        self._given = None if loop is None else as_asyncio_loop(loop)
        self._loop: asyncio.AbstractEventLoop | None = self._given
        self._own: _LoopThread | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop; found or started when it is first asked for.

        Raises
        ------
        RuntimeError
            When the runner is asynchronous and no loop is running here.
        """
        if self._loop is None:
            if self._asynchronous:
                try:
                    self._loop = asyncio.get_running_loop()
                except RuntimeError:
                    raise RuntimeError(
                        "asynchronous=True needs a running event loop: make the object inside a "
                        "coroutine, or leave asynchronous=True out"
                    ) from None
            else:
                self._loop = _shared_loop()
        return self._loop

    def start(self) -> None:
        """Make sure that the loop runs."""
        loop = self.loop
        if self._asynchronous:
            return
        if self._given is None:
            self._loop = _shared_loop()
        elif not loop.is_running():
            self._own = _LoopThread(loop, "shoal-loop-given")

    def stop(self, timeout: float = 10) -> None:
        """Stop the thread that `start` made for the caller's loop; the shared loop goes on."""
        if self._own is not None:
            own, self._own = self._own, None
            if is_inherited(own.loop):
                return
            own.loop.call_soon_threadsafe(own.loop.stop)
            own._thread.join(timeout)

    def is_started(self) -> bool:
        """Whether the loop is known and runs."""
        return self._loop is not None and self._loop.is_running()

    def run_sync(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Start the loop, run a function or coroutine function on it, and return the result."""
        self.start()
        return sync(self.loop, func, *args, **kwargs)

    def __repr__(self) -> str:
        state = "running" if self.is_started() else "not running"
        kind = "asynchronous" if self._asynchronous else "synchronous"
        return f"<LoopRunner {kind}, {state}>"


class _Call:
    """One blocking call: made on the calling thread, run on the loop, waited for through a lock."""

    __slots__ = ("args", "done", "error", "func", "kwargs", "result", "task")

    def __init__(
        self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        self.func = func
        self.args = args
        self.kwargs = kwargs
        self.task: asyncio.Task[Any] | None = None
        self.result: Any = None
        self.error: BaseException | None = None
        # A bare lock, taken until the call is over: cheaper than an Event, and Ctrl-C gets through.
        self.done = threading.Lock()
        self.done.acquire()

    def start(self) -> None:
        try:
            result = self.func(*self.args, **self.kwargs)
            if not inspect.isawaitable(result):
                self.result = result
                self.done.release()
                return
            self.task = asyncio.ensure_future(self._run(result))
        except BaseException as error:
            self.error = error
            self.done.release()
        else:
            self.task.add_done_callback(self._finish)

    async def _run(self, awaitable: Any) -> None:
        try:
            self.result = await awaitable
        except BaseException as error:
            # SystemExit and the like too: they are the caller's, and would end the loop's thread.
            self.error = error

    def _finish(self, task: asyncio.Task[Any]) -> None:
        if task.cancelled():  # before it began
            self.error = asyncio.CancelledError()
        self.done.release()

    def cancel(self) -> None:
        if self.task is not None:
            self.task.cancel()

    def wait(self, timeout: float | None) -> bool:
        if _POLL is None:
            return self.done.acquire(timeout=-1 if timeout is None else max(timeout, 0))
        waited = 0.0
        while not self.done.acquire(timeout=_POLL):
            waited += _POLL
            if timeout is not None and waited >= timeout:
                return False
        return True


def sync(
    loop: Any,
    func: Callable[..., Any],
    *args: Any,
    callback_timeout: float | None = None,
    **kwargs: Any,
) -> Any:
    """Run `func` on an event loop that runs in another thread, and wait for its result.

    Parameters
    ----------
    loop : event loop
        A running loop.
    func : callable
        A coroutine function or a plain one; called on the loop's thread.
    callback_timeout : float, optional
        Seconds to wait; then the call is cancelled and `TimeoutError` raised.

    Raises
    ------
    RuntimeError
        When this is the loop's own thread (it would wait for itself), or the loop is closed, or
        this process was forked from the one whose loop it is.

    Notes
    -----
    Ctrl-C while waiting cancels the call and raises `KeyboardInterrupt` here.
    """
    loop = as_asyncio_loop(loop)
    if asyncio._get_running_loop() is loop:
        raise RuntimeError(
            "a blocking call on the event loop's own thread would wait for itself forever; "
            "inside coroutines use asynchronous=True and await"
        )
    if is_inherited(loop):
        raise RuntimeError(
            "this was made before this process was forked and belongs to the parent: make a new "
            "Client here, with the scheduler's address, or start processes with 'spawn'"
        )
    call = _Call(func, args, kwargs)
    loop.call_soon_threadsafe(call.start)  # raises RuntimeError when the loop is closed
    try:
        finished = call.wait(callback_timeout)
    except BaseException:  # KeyboardInterrupt, or an exception of a signal handler
        _cancel_quietly(loop, call)
        raise
    if not finished:
        _cancel_quietly(loop, call)
        raise TimeoutError(f"{_name(func)} took longer than {callback_timeout} s")
    if call.error is not None:
        try:
            raise call.error
        finally:
            del call  # the traceback refers to this frame; break the cycle
    return call.result


def _cancel_quietly(loop: asyncio.AbstractEventLoop, call: _Call) -> None:
    try:
        loop.call_soon_threadsafe(call.cancel)
    except RuntimeError:  # closed meanwhile: nothing runs any more
        pass


def _name(func: Callable[..., Any]) -> str:
    return getattr(func, "__qualname__", None) or repr(func)


class SyncMethodMixin:
    """Methods that block in ordinary code and are awaited in asynchronous code.

    Users of the mixin set `_asynchronous` (bool) and have a `loop`.
    """

    _asynchronous: bool = False

    @property
    def loop(self) -> BothLoops:
        """The event loop that this object lives on, with asyncio's and tornado's methods."""
        runner: LoopRunner = self._loop_runner  # type: ignore[attr-defined]
        return both_loops(runner.loop)

    @property
    def asynchronous(self) -> bool:
        """Whether methods called here and now return awaitables instead of blocking."""
        running = asyncio._get_running_loop()
        if running is not None and running is as_asyncio_loop(self.loop):
            return True
        return self._asynchronous

    @overload
    def sync(
        self,
        func: Callable[..., Coroutine[Any, Any, T]],
        *args: Any,
        asynchronous: Literal[False],
        callback_timeout: float | None = None,
        **kwargs: Any,
    ) -> T: ...

    @overload
    def sync(
        self,
        func: Callable[..., Any],
        *args: Any,
        asynchronous: bool | None = None,
        callback_timeout: float | None = None,
        **kwargs: Any,
    ) -> Any: ...

    def sync(
        self,
        func: Callable[..., Any],
        *args: Any,
        asynchronous: bool | None = None,
        callback_timeout: float | None = None,
        **kwargs: Any,
    ) -> Any:
        """Call a coroutine function: wait for its result, or return the awaitable in async code."""
        if asynchronous is None:
            asynchronous = self.asynchronous
        if not asynchronous:
            return sync(self.loop, func, *args, callback_timeout=callback_timeout, **kwargs)
        result = func(*args, **kwargs)
        if callback_timeout is not None and inspect.isawaitable(result):
            return within(result, callback_timeout)
        return result
