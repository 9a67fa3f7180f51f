"""Futures of calls of actors: completed on the loop, waited for anywhere."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Generator
from typing import Any, Generic, TypeVar

from dask.utils import parse_timedelta

from shoal.task_context import aside, away, current_task

__all__ = ["ActorFuture", "BaseActorFuture", "EagerActorFuture"]

T = TypeVar("T")

# Windows does not interrupt a thread that waits for a lock: Ctrl-C is looked for this often there.
_POLL = 0.1 if sys.platform == "win32" else None


class BaseActorFuture(ABC, Awaitable[T]):
    """The result of a call of an actor, now or later."""

    __slots__ = ()

    @abstractmethod
    def result(self, timeout: float | str | None = None) -> Any:
        """Return what the method returned, or raise what it raised.

        Parameters
        ----------
        timeout : float or str, optional
            Seconds to wait, or a text such as ``"5s"``.
        """

    @abstractmethod
    def done(self) -> bool:
        """Whether there is nothing to wait for."""

    def __repr__(self) -> str:
        return "<ActorFuture>"


class EagerActorFuture(BaseActorFuture[T]):
    """The result of a call that was made at once: an actor called itself."""

    __slots__ = ("_error", "_value")

    def __init__(self, value: Any, error: BaseException | None = None) -> None:
        self._value = value
        self._error = error

    def result(self, timeout: float | str | None = None) -> Any:
        if self._error is not None:
            raise self._error
        return self._value

    def done(self) -> bool:
        return True

    def __await__(self) -> Generator[Any, None, T]:
        async def result() -> Any:
            return self.result()

        return result().__await__()


class ActorFuture(BaseActorFuture[T], Generic[T]):
    """The result of a call of an actor's method, at its caller.

    See Also
    --------
    Client.submit : makes actors, with ``actor=True``

    Examples
    --------
    >>> future = counter.increment()  # doctest: +SKIP
    >>> future  # doctest: +SKIP
    <ActorFuture>
    >>> future.result()  # doctest: +SKIP
    1
    """

    __slots__ = ("__weakref__", "_home", "_kept", "_load", "_outcome", "_wakers", "_what", "read")

    def __init__(
        self,
        what: str,
        load: Callable[[Any], Any],
        kept: Any = None,
        home: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._what = what  # the call, for messages
        self._load = load  # unpickles a value where the caller's client is the current one
        self._kept = kept  # until it is answered
        self._home = home  # the loop that brings the answer
        # None, (True, opaque value) or (False, function that makes the exception).
        self._outcome: tuple[bool, Any] | None = None
        self._wakers: list[Callable[[], Any]] = []
        # Tries to read the answer in this thread, for so many seconds; None: the loop reads it.
        self.read: Callable[[float | None], None] | None = None

    def complete(self, well: bool, value: Any) -> None:
        """Say what came of the call, once; on the loop, or in the thread that waits for it.

        Parameters
        ----------
        well : bool
            Whether it returned.
        value : object
            The pickle for `load`; otherwise a function that returns the exception.
        """
        if self._outcome is None:
            self._kept = None
            self.read = None
            self._outcome = (well, value)
            # A waiter that adds itself from now on looks at the outcome after that.
            while self._wakers:
                self._wakers.pop()()

    def done(self) -> bool:
        """Whether the call is over."""
        return self._outcome is not None

    def result(self, timeout: float | str | None = None) -> Any:
        """Wait for the call and return what the method returned.

        Parameters
        ----------
        timeout : float or str, optional
            Seconds, or a text such as ``"5s"``.

        Raises
        ------
        TimeoutError
            When it is not over in time; it goes on.
        ActorLostError
            When the actor's worker is gone.
        RuntimeError
            When this is the event loop that brings the answer: await the future there.
        Exception
            The exception of the method, with the traceback of its frames on the worker.
        """
        if self._outcome is None:
            seconds = None if timeout is None else float(parse_timedelta(timeout, default="s"))
            if not self._block(seconds):
                raise TimeoutError(f"{self._what} did not return, waited {seconds} s")
        return self._answer()

    def _block(self, seconds: float | None) -> bool:
        if self._home is not None and asyncio._get_running_loop() is self._home:
            raise RuntimeError(
                f"{self._what}: result() on the event loop's own thread would wait for itself "
                "forever; in coroutines await the future"
            )
        read = self.read
        if read is not None and current_task() is None:
            start = time.monotonic()
            read(seconds)
            if self._outcome is not None:
                return True
            if seconds is not None:
                seconds -= time.monotonic() - start
        gate = threading.Lock()
        gate.acquire()
        self._wakers.append(gate.release)
        if self._outcome is not None:
            return True
        with away():
            if _POLL is None:
                return gate.acquire(timeout=-1 if seconds is None else max(seconds, 0))
            deadline = None if seconds is None else time.monotonic() + seconds
            while not gate.acquire(timeout=_POLL):
                if deadline is not None and time.monotonic() > deadline:
                    return False
        return True

    def _answer(self) -> Any:
        assert self._outcome is not None
        well, value = self._outcome
        if well:
            return self._load(value)
        error = value()
        try:
            raise error
        finally:
            del error  # the traceback refers to this frame; break the cycle

    def __await__(self) -> Generator[Any, None, T]:
        return self._wait().__await__()

    async def _wait(self) -> Any:
        if self._outcome is None:
            loop = asyncio.get_running_loop()
            waiter: asyncio.Future[None] = loop.create_future()

            def wake() -> None:
                try:
                    loop.call_soon_threadsafe(_finish, waiter)
                except RuntimeError:  # that loop was closed: nobody waits there any more
                    pass

            self._wakers.append(wake)
            if self._outcome is None:
                with aside():
                    await waiter
        return self._answer()


def _finish(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
