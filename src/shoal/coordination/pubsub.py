"""`Pub` and `Sub`: values to all subscribers, from worker to worker without the scheduler."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any, Self

from shoal.client.core.asks import Asking
from shoal.client.core.events import RequestMade
from shoal.client.current import current_client
from shoal.client.futures.future import seconds_or_none
from shoal.client.in_task.task_client import client_of_task, worker_here
from shoal.coordination.asking import Named, Seconds, block_on, nobody, until_answered
from shoal.coordination.topics import Inbox, hub_of, wait_async, wait_blocking
from shoal.task_context import on_worker
from shoal.wire.messages import Ask, Subscribers
from shoal.wire.pickling import dumps, loads

if TYPE_CHECKING:
    from shoal.client.session.context import ClientContext

__all__ = ["Pub", "Sub"]


class _OnTopic(Named):
    """A member of a topic: known to the scheduler from its making until it is closed or gone."""

    kind = "topic"

    def __init__(self, name: Any, worker: Any, client: ClientContext | None) -> None:
        self._left = True
        if worker is not None and client is not None:
            raise ValueError("give a worker or a client, not both")
        if worker is None and client is None:
            worker = worker_here()
        if worker is not None:
            with on_worker(worker):
                client = client_of_task()
        super().__init__(name if name is None or isinstance(name, str) else repr(name), client)
        self.topic = name
        self._session = self.client._session
        self._hub = hub_of(self._session)
        self._worker = worker
        if worker is not None:
            self._hub.serve(worker)
        self._left = False

    def _join(self, op: str, again: str, args: list[Any]) -> None:
        session = self._session
        ask = Ask(next(session.ask_ids), self.kind, self.name, op, args)
        self._asking = Asking(ask, nobody, (again, args))
        self._joining: asyncio.Task[None] | None = None
        if not session.asynchronous:
            block_on(session, self._asking, None)
            self._check_joined()
        else:
            joining = until_answered(session, self._asking, None)
            self._joining = asyncio.get_running_loop().create_task(joining)

    async def _ready(self) -> Self:
        if self._joining is not None:
            await asyncio.shield(self._joining)
        self._check_joined()
        return self

    def _check_joined(self) -> None:
        answer = self._asking.answer
        if answer is not None and answer.error:
            self._left = True
            raise RuntimeError(answer.value)

    def close(self) -> None:
        """Leave the topic. This also happens when the object is dropped."""
        if not self.__dict__.get("_left", True):
            self._leave()

    def _leave(self) -> None:
        # Takes no lock: it may be called by the garbage collector.
        self._left = True
        session, number = self._session, self._asking.ask.id
        ask = Ask(next(session.ask_ids), self.kind, self.name, "leave", [number])
        session.post(RequestMade(Asking(ask, nobody, gives_back=number)))

    def __del__(self) -> None:
        try:
            self.close()
        except (AttributeError, RuntimeError):  # never made; or the loop is closed
            pass

    def __getattr__(self, attribute: str) -> Any:
        # It was unpickled where there was no client: it joins at its first use.
        if attribute.startswith("__") or "topic" not in self.__dict__ or "_left" in self.__dict__:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {attribute!r}")
        try:
            self.__init__(self.topic)  # type: ignore[misc]
        except BaseException:
            self.__dict__.pop("_left", None)  # it may join at its next use
            raise
        return getattr(self, attribute)

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (type(self), self.name if self.topic is None else self.topic)


def _unpickled(cls: type[_OnTopic], name: Any) -> _OnTopic:
    """Join a topic, or where there is no client, make what joins when it is used."""
    if worker_here() is not None:
        return cls(name, None, None)
    try:
        current_client()
    except ValueError:
        later = cls.__new__(cls)
        later.topic = later.name = name
        return later
    return cls(name, None, None)


class Pub(_OnTopic):
    """Publish values to all subscribers of a topic.

    Parameters
    ----------
    name : object, optional
        Name of the topic.
    worker : Worker, optional
        Publish from this worker; by default the one whose task this is.
    client : Client, optional
        Publish from this client.

    Notes
    -----
    From worker to worker values go directly; from and to clients, through the scheduler. Values may
    be anything that can be pickled. They reach those who subscribe at that time: nothing is kept
    for others, and what is on its way to somebody who leaves is lost.

    See Also
    --------
    Sub

    Examples
    --------
    >>> pub = Pub('my-topic')  # doctest: +SKIP
    >>> sub = Sub('my-topic')  # doctest: +SKIP
    >>> pub.put([1, 2, 3])  # doctest: +SKIP
    >>> sub.get()  # doctest: +SKIP
    [1, 2, 3]

    The subscribers on workers:

    >>> pub.subscribers  # doctest: +SKIP
    {'tcp://...': {},
     'tcp://...': {}}
    """

    def __init__(
        self, name: Any = None, worker: Any = None, client: ClientContext | None = None
    ) -> None:
        super().__init__(name, worker, client)
        self._hub.do(self._hub.announce, self.name)
        self._join("publish", "republish", [])

    def put(self, msg: Any) -> None:
        """Publish a message to all subscribers. Does not wait for them.

        Raises
        ------
        TypeError
            When it cannot be pickled.
        """
        if self._left:
            raise RuntimeError(f"this Pub of {self.name!r} is closed")
        if self._session.ended is not None:
            raise RuntimeError(f"cannot publish to {self.name!r}: {self._session.ended}")
        value = dumps(msg)
        if self._asking.answer is None and self._joining is not None:
            # Made in a coroutine and not awaited: the subscribers are not known yet.
            self._joining.add_done_callback(lambda _: self._hub.put(self.name, value))
        else:
            self._hub.put(self.name, value)

    def _check_joined(self) -> None:
        super()._check_joined()
        answer = self._asking.answer
        if answer is not None:  # the hub hears of it, too, but perhaps a moment later
            self._hub.routes.setdefault(self.name, Subscribers(self.name, *answer.value))

    def _leave(self) -> None:
        super()._leave()
        self._hub.do(self._hub.retract, self.name)

    @property
    def subscribers(self) -> dict[str, dict[str, Any]]:
        """The workers that subscribe, by address."""
        route = self._hub.routes.get(self.name)
        return {} if route is None else {address: {} for address in route.workers}


class Sub(_OnTopic):
    """Receive what is published to a topic, from now on.

    Parameters
    ----------
    name : object, optional
        Name of the topic.
    worker : Worker, optional
        Receive on this worker; by default the one whose task this is.
    client : Client, optional
        Receive at this client.

    Notes
    -----
    Each value reaches each `Sub`. Values are kept until they are taken, however many there are.

    See Also
    --------
    Pub

    Examples
    --------
    >>> sub = Sub('my-topic')  # doctest: +SKIP
    >>> sub.get(timeout='1s')  # doctest: +SKIP
    123
    >>> for msg in sub:  # doctest: +SKIP
    ...     print(msg)
    >>> async for msg in sub:  # doctest: +SKIP
    ...     print(msg)
    """

    def __init__(
        self, name: Any = None, worker: Any = None, client: ClientContext | None = None
    ) -> None:
        super().__init__(name, worker, client)
        self._inbox = Inbox(self.name)
        self._hub.do(self._hub.join, self._inbox)
        address = "" if worker is None and self._worker is None else self._worker.address
        self._join("subscribe", "resubscribe", [address])

    def get(self, timeout: Seconds = None) -> Any:
        """Return the next value; waits until there is one.

        Parameters
        ----------
        timeout : number, str or timedelta, optional
            Seconds to wait, or a text such as ``"200ms"``.

        Raises
        ------
        TimeoutError
            When nothing came in time.

        Notes
        -----
        In asynchronous code this returns an awaitable.
        """
        seconds = seconds_or_none(timeout)
        if self._session.asynchronous:
            return self._get(seconds)
        value = wait_blocking(self._inbox, None if seconds is None else max(0.0, seconds))
        return self._load(value, seconds)

    next = __next__ = get

    async def _get(self, seconds: float | None) -> Any:
        return self._load(await wait_async(self._inbox, seconds), seconds)

    def _load(self, value: Any, seconds: float | None) -> Any:
        if value is not None:
            return loads(value)
        if self._inbox.ended:
            raise RuntimeError(f"nothing comes from {self.name!r} any more: {self._inbox.ended}")
        raise TimeoutError(f"nothing came from {self.name!r} within {seconds} s")

    def __iter__(self) -> Iterator[Any]:
        return self

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        return await self._get(None)

    def close(self) -> None:
        """Unsubscribe. This also happens when the object is dropped."""
        super().close()
        if "_inbox" in self.__dict__:  # not where it never joined
            self._inbox.end("it was closed")

    def _leave(self) -> None:
        super()._leave()
        self._hub.do(self._hub.leave, self._inbox)
