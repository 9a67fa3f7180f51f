"""Event loops as users see them: asyncio's and tornado's methods on one object.

Older code around dask calls ``client.loop.add_callback(...)``, newer code
``client.loop.call_soon_threadsafe(...)``. Nothing here imports tornado, which would cost every
start some milliseconds. Threads and blocking calls are the matter of `loop`.
"""

from __future__ import annotations

import asyncio
import datetime
import inspect
import logging
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

from shoal._base.within import within

__all__ = ["BothLoops", "as_asyncio_loop", "both_loops"]

logger = logging.getLogger("shoal.loop")

# By id of the loop: the value keeps its loop alive, so the id is not used again meanwhile.
_known: weakref.WeakValueDictionary[int, BothLoops] = weakref.WeakValueDictionary()


def as_asyncio_loop(loop: Any) -> asyncio.AbstractEventLoop:
    """Return the asyncio loop of `loop`, which may be one of tornado's ``IOLoop`` objects."""
    found = getattr(loop, "asyncio_loop", loop)
    if not isinstance(found, asyncio.AbstractEventLoop):
        raise TypeError(f"loop= must be an event loop, got {type(loop).__name__}: {loop!r}")
    return found


def both_loops(loop: Any) -> BothLoops:
    """Return the object with both kinds of methods; the same one for the same loop."""
    raw = as_asyncio_loop(loop)
    face = _known.get(id(raw))
    if face is None:
        # When two threads get here at once, one object wins, or they are equal.
        face = _known.setdefault(id(raw), BothLoops(raw))
    return face


class BothLoops:
    """An asyncio event loop that can also be spoken to as tornado's ``IOLoop``.

    All other methods are asyncio's: `call_soon_threadsafe`, `create_task`, `call_later`,
    `run_in_executor`, `is_running`, `stop`, `close`. Of names that both have, it is asyncio's too:
    `time` and `call_at` are by the monotonic clock. It equals the loop itself, and every tornado
    loop around it.

    Attributes
    ----------
    asyncio_loop : asyncio.AbstractEventLoop
        The loop itself, for functions that insist on one.
    """

    __slots__ = ("__weakref__", "asyncio_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.asyncio_loop = loop

    def __getattr__(self, name: str) -> Any:
        return getattr(self.asyncio_loop, name)

    def __eq__(self, other: object) -> bool:
        return getattr(other, "asyncio_loop", other) is self.asyncio_loop

    def __hash__(self) -> int:
        return hash(self.asyncio_loop)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.asyncio_loop!r}>"

    def add_callback(self, callback: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Call a function or coroutine function soon; from any thread."""
        loop = self.asyncio_loop
        try:
            loop.call_soon_threadsafe(self._run, callback, args, kwargs)
        except RuntimeError:  # closed: tornado's loops say nothing either
            logger.debug("not called, the event loop is closed: %r", callback)

    spawn_callback = add_callback
    add_callback_from_signal = add_callback

    def _run(
        self, callback: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        try:
            result = callback(*args, **kwargs)
        except Exception:
            logger.exception("Exception in callback %r", callback)
            return
        if inspect.isawaitable(result):
            asyncio.ensure_future(result).add_done_callback(_tell)

    def add_future(self, future: Awaitable[Any], callback: Callable[[Any], Any]) -> None:
        """Call ``callback(future)`` on the loop when a future of asyncio or of threads is done."""
        if isinstance(future, asyncio.Future):
            future.add_done_callback(lambda done: self._run(callback, (done,), {}))
        elif hasattr(future, "add_done_callback"):
            future.add_done_callback(lambda done: self.add_callback(callback, done))
        else:
            raise TypeError(f"add_future needs a future, got {type(future).__name__}: {future!r}")

    def call_later(
        self, delay: float, callback: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> asyncio.TimerHandle:
        """Call a function `delay` seconds from now; on the loop's thread only."""
        context = kwargs.pop("context", None)
        return self.asyncio_loop.call_later(
            delay, self._run, callback, args, kwargs, context=context
        )

    def call_at(
        self, when: float, callback: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> asyncio.TimerHandle:
        """Call a function at a time of the loop's clock, `time`; on the loop's thread only."""
        context = kwargs.pop("context", None)
        return self.asyncio_loop.call_at(when, self._run, callback, args, kwargs, context=context)

    def add_timeout(
        self,
        deadline: float | datetime.timedelta,
        callback: Callable[..., Any],
        *args: Any,
        **kwargs: Any,
    ) -> asyncio.TimerHandle:
        """Call a function at a time of the loop's clock, or after a `timedelta`."""
        if isinstance(deadline, datetime.timedelta):
            return self.call_later(deadline.total_seconds(), callback, *args, **kwargs)
        return self.call_at(deadline, callback, *args, **kwargs)

    def remove_timeout(self, timeout: asyncio.TimerHandle) -> None:
        """Do not make a call that `call_later`, `call_at` or `add_timeout` promised."""
        timeout.cancel()

    def run_sync(self, func: Callable[[], Any], timeout: float | None = None) -> Any:
        """Run a function or coroutine function on the loop, wait, and return what it returns.

        The loop is run for that long where nobody runs it yet.
        """
        loop = self.asyncio_loop
        if asyncio._get_running_loop() is loop:
            raise RuntimeError(
                "run_sync on the event loop's own thread would wait for itself forever; "
                "use await inside coroutines"
            )

        async def result() -> Any:
            found = func()
            return await within(found, timeout) if inspect.isawaitable(found) else found

        if not loop.is_running():
            return loop.run_until_complete(result())
        return asyncio.run_coroutine_threadsafe(result(), loop).result()

    def start(self) -> None:
        """Run the loop on this thread until it is stopped."""
        self.asyncio_loop.run_forever()


def _tell(task: asyncio.Future[Any]) -> None:
    if not task.cancelled() and task.exception() is not None:
        logger.error("Exception in callback", exc_info=task.exception())
