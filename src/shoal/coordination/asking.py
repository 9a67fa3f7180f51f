"""Asking the scheduler, and waiting for its answer: in a thread, or in a coroutine.

When the time is over the scheduler is told so and answers at once, so that what it gave away just
before is not lost. An interrupted or cancelled call has given back what was on its way.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, ClassVar, Self

from shoal._base.keys import encode_key
from shoal.client.core.asks import Asking
from shoal.client.core.events import RequestMade, TookAnswer, Unasked
from shoal.client.current import current_client
from shoal.client.futures.future import seconds_or_none
from shoal.client.in_task.task_client import client_of_task, worker_here
from shoal.client.session.latches import ThreadLatch
from shoal.task_context import aside
from shoal.wire.messages import Ask

if TYPE_CHECKING:
    from shoal._base.both_loops import BothLoops
    from shoal.client.session.context import ClientContext
    from shoal.client.session.session import Session
    from shoal.comm.rpc import PooledRPC

__all__ = [
    "Name",
    "Named",
    "Seconds",
    "block_on",
    "client_for",
    "nobody",
    "until_answered",
    "wire_name",
]

Name = Any  # text, a number, or a tuple of these
Seconds = Any  # a number, a text such as "200ms", a timedelta, or None

# Seconds after the time is over in which the scheduler must say what the answer is.
_TIMEOUT = 5.0

_NOT_LATE: Any = object()


def client_for(client: ClientContext | None) -> ClientContext:
    """Return a client: this one, the one of the worker whose task this is, or the current one."""
    if client is not None and client.status not in ("closing", "closed"):
        return client
    of_task = client_of_task()
    return current_client() if of_task is None else of_task


class Named:
    """Something with a name that the scheduler keeps for all clients.

    Parameters
    ----------
    name : str, number or tuple of these, optional
        Objects of the same name are the same thing; a random name by default.
    client : Client, optional
        How to reach the scheduler; by default the client of the task or of the context.
    """

    kind: ClassVar[str]

    def __init__(self, name: Name | None = None, client: ClientContext | None = None) -> None:
        if name is None or name == "":
            name = f"{self.kind}-{uuid.uuid4().hex}"
        self.name: Any = name
        self._wire_name = wire_name(name, self.kind)
        self._given = client
        self._home = client
        if client is None and worker_here() is None:
            try:
                self._home = current_client()
            except ValueError:
                pass  # there may be one when it is used

    @property
    def client(self) -> ClientContext:
        """The client through which it is used here and now."""
        of_task = None if self._given is not None else client_of_task()
        if of_task is not None:
            return of_task
        home = self._home
        if home is None or home.status in ("closing", "closed"):
            home = self._home = client_for(self._given)
        return home

    @property
    def asynchronous(self) -> bool:
        """Whether methods that ask the scheduler return awaitables here and now."""
        return self.client.asynchronous

    @property
    def loop(self) -> BothLoops:
        """The event loop of the client."""
        return self.client.loop

    @property
    def scheduler(self) -> PooledRPC:
        """The scheduler's operations, through the client."""
        return self.client.scheduler

    def sync(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a coroutine function on the client's loop; see `Client.sync`."""
        return self.client.sync(func, *args, **kwargs)

    def __await__(self) -> Generator[Any, None, Self]:
        """Return this itself, when it is ready; asynchronous code may await what it made."""
        return self._ready().__await__()

    async def _ready(self) -> Self:
        return self

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"

    def _ask(
        self,
        op: str,
        *args: Any,
        keys: list[str] | None = None,
        timeout: Seconds = None,
        late: Any = _NOT_LATE,
        load: Callable[[Session, Asking], Any] | None = None,
        claim: tuple[str, list[Any]] | None = None,
        gives_back: int = 0,
        takes: bool = False,
        through: ClientContext | None = None,
        begin: bool = False,
    ) -> Any:
        """Ask, and return what `load` makes of the answer; in asynchronous code an awaitable.

        With `begin` it is asked before anybody awaits that. `late` is returned when the time is
        over, instead of raising `TimeoutError`.
        """
        seconds = seconds_or_none(timeout)
        session = (through or self.client)._session
        ask = Ask(next(session.ask_ids), self.kind, self._wire_name, op, list(args), keys or [])
        asking = Asking(ask, nobody, claim, gives_back, takes)
        if session.asynchronous:
            if begin:
                session.post(RequestMade(asking))
            answer = self._wait(session, asking, seconds, late, load, begin)
            if not begin:
                return answer
            if asyncio._get_running_loop() is not None:
                return asyncio.ensure_future(answer)
            # An asynchronous client in a thread without a loop: nobody can await it there.
            asyncio.run_coroutine_threadsafe(answer, session.client.loop.asyncio_loop)
            return None
        block_on(session, asking, seconds)
        return self._finish(session, asking, seconds, late, load)

    def _tell(self, op: str, *args: Any, **kwargs: Any) -> Any:
        """`_ask`, which begins at once: in asynchronous code nobody has to await the answer."""
        return self._ask(op, *args, begin=True, **kwargs)

    async def _wait(
        self,
        session: Session,
        asking: Asking,
        seconds: float | None,
        late: Any,
        load: Any,
        asked: bool,
    ) -> Any:
        await until_answered(session, asking, seconds, asked)
        return self._finish(session, asking, seconds, late, load)

    def _finish(
        self, session: Session, asking: Asking, seconds: float | None, late: Any, load: Any
    ) -> Any:
        answer = asking.answer
        assert answer is not None
        if answer.error:
            if answer.error == "TimeoutError":
                if late is not _NOT_LATE:
                    return late
                raise TimeoutError(
                    f"{asking.ask.op} on {self.kind} {self.name!r} took longer than {seconds} s"
                )
            raise (ValueError if answer.error == "ValueError" else RuntimeError)(answer.value)
        value = answer.value if load is None else load(session, asking)
        if asking.takes:
            try:
                session.say(TookAnswer(asking))
            except BaseException:  # out of a signal handler: the value goes nowhere
                session.post(Unasked(asking, back=True))
                raise
        return value


def wire_name(name: Name, kind: str) -> str:
    """Return a name as messages carry it.

    Raises
    ------
    TypeError
        When it is neither text nor a number nor a tuple of these.
    """
    try:
        return encode_key(name)
    except TypeError:
        raise TypeError(
            f"the name of a {kind} must be text, a number or a tuple of these, got {name!r}"
        ) from None


def nobody(asking: Asking) -> None:
    """Wake no call: none waits yet."""


def block_on(session: Session, asking: Asking, seconds: float | None) -> None:
    latch = ThreadLatch()

    def wake(asking: Asking) -> None:
        latch.open()

    asking.wake = wake
    answered = False
    try:
        session.say(RequestMade(asking))
        if seconds is None:
            session.read_answer(asking)
            answered = latch.wait(None)
        else:
            deadline = time.monotonic() + seconds
            session.read_answer(asking, seconds)
            answered = seconds > 0 and latch.wait(deadline - time.monotonic())
            if not answered:
                session.post(Unasked(asking))
                answered = latch.wait(_TIMEOUT)
        if not answered:
            raise TimeoutError(f"the scheduler does not answer about {asking.ask.name!r}")
    finally:
        if not answered:
            session.post(Unasked(asking, back=True))


async def until_answered(
    session: Session, asking: Asking, seconds: float | None, asked: bool = False
) -> None:
    """Ask, unless that was done already, and wait for the answer."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[None] = loop.create_future()

    def settle() -> None:
        if not answer.done():
            answer.set_result(None)

    def wake(asking: Asking) -> None:
        if asyncio._get_running_loop() is loop:
            settle()
            return
        try:
            loop.call_soon_threadsafe(settle)
        except RuntimeError:  # that loop was closed: nobody waits there any more
            pass

    asking.wake = wake
    answered = False
    try:
        if not asked:
            session.post(RequestMade(asking))
        elif asking.answer is not None:  # it came before anybody waited for it
            settle()
        with aside():
            if seconds is None:
                await answer
            elif seconds > 0:
                await asyncio.wait([answer], timeout=seconds)
        if not answer.done():
            session.post(Unasked(asking))
            await asyncio.wait([answer], timeout=_TIMEOUT)
        answered = answer.done()
        if not answered:
            raise TimeoutError(f"the scheduler does not answer about {asking.ask.name!r}")
    finally:
        if not answered:
            session.post(Unasked(asking, back=True))
