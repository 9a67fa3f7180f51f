"""Publishing and subscribing at one client, and the streams from worker to worker.

A `Hub` belongs to a client's session and lives on its loop. `Pub` and `Sub` objects, on any thread,
reach it through its outbox. The hub of a worker's client sends to other workers directly: one
stream for each, opened when it is first needed. Nothing is kept for who is not there.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections import Counter, deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from shoal.client.core.events import Spoke
from shoal.client.session.latches import ThreadLatch
from shoal.comm.base import Comm, connect
from shoal.comm.status import Status
from shoal.comm.stream import MessageStream
from shoal.task_context import aside
from shoal.wire.codec import BatchCodec
from shoal.wire.messages import Publish, Published, Subscribers

if TYPE_CHECKING:
    from shoal.client.session.session import Session
    from shoal.wire.blob import Blob

__all__ = ["Hub", "Inbox", "hub_of"]

logger = logging.getLogger("shoal.coordination")

_OPERATION = "pubsub"


class Inbox:
    """The values for one `Sub`, and the calls that wait for them; first come, first served."""

    __slots__ = ("_items", "_lock", "_waiting", "ended", "topic")

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.ended = ""
        self._items: deque[Blob] = deque()
        self._waiting: deque[Waiter] = deque()
        self._lock = threading.Lock()

    def receive(self, values: list[Blob]) -> None:
        """Take values in. On the loop."""
        with self._lock:
            for value in values:
                if self._waiting:
                    waiter = self._waiting.popleft()
                    waiter.value = value
                    waiter.wake()
                else:
                    self._items.append(value)

    def take(self) -> Blob | None:
        """Return the next value if there is one: then no earlier call waits."""
        try:
            return self._items.popleft()
        except IndexError:
            return None

    def ask(self, waiter: Waiter) -> None:
        """Have a waiter given the next value, now or later."""
        with self._lock:
            if self._items:
                waiter.value = self._items.popleft()
                waiter.wake()
            elif self.ended:
                waiter.wake()
            else:
                self._waiting.append(waiter)

    def leave(self, waiter: Waiter) -> None:
        """A waiter goes; it may have a value nevertheless."""
        with self._lock, contextlib.suppress(ValueError):
            self._waiting.remove(waiter)

    def give_back(self, waiter: Waiter) -> None:
        """A waiter was interrupted: what it was given is the next again."""
        with self._lock:
            with contextlib.suppress(ValueError):
                self._waiting.remove(waiter)
            value, waiter.value = waiter.value, None
            if value is None:
                return
            if self._waiting:
                following = self._waiting.popleft()
                following.value = value
                following.wake()
            else:
                self._items.appendleft(value)

    def end(self, reason: str) -> None:
        """Nothing will come any more."""
        with self._lock:
            self.ended = reason
            while self._waiting:
                self._waiting.popleft().wake()


class Waiter:
    """A call that waits for one value."""

    __slots__ = ("value", "wake")

    def __init__(self, wake: Callable[[], None]) -> None:
        self.value: Blob | None = None
        self.wake = wake


class _Link:
    """The way to the subscribers on one other worker."""

    def __init__(self, hub: Hub, worker: Any, address: str) -> None:
        self._hub = hub
        self._address = address
        self._stream: MessageStream[Any] | None = None
        self._waiting: list[Published] = []
        self._opening = asyncio.get_running_loop().create_task(self._open(worker))

    async def _open(self, worker: Any) -> None:
        try:
            comm = await connect(self._address, retry=False, **worker.rpc.connection_args)
            await comm.write({"op": _OPERATION})
        except OSError as error:
            logger.info("cannot publish to %s: %s", self._address, error)
            self._lost(error)
            return
        codec = BatchCodec[Any](Published)
        self._stream = MessageStream(comm, sends=codec, receives=codec)
        self._stream.start(self._ignore, self._lost)
        self._stream.send(self._waiting)
        self._waiting = []

    def _ignore(self, messages: list[Any]) -> None:
        """Subscribers say nothing."""

    def _lost(self, reason: BaseException | None) -> None:
        self._hub.links.pop(self._address, None)

    def send(self, message: Published) -> None:
        if self._stream is None:
            self._waiting.append(message)
        else:
            self._stream.send([message])

    def close(self) -> None:
        self._opening.cancel()
        if self._stream is not None:
            self._stream.abort()


class Hub:
    """All topics of one client."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.worker: Any = None
        self.inboxes: dict[str, list[Inbox]] = {}
        self.routes: dict[str, Subscribers] = {}
        self.publishers: Counter[str] = Counter()
        self.links: dict[str, _Link] = {}
        self._streams: set[MessageStream[Any]] = set()
        self._outbox: deque[tuple[Any, ...]] = deque()
        self._awake = False
        session.on_workers.append(self._look)

    # -- from any thread -------------------------------------------------------------

    def serve(self, worker: Any) -> None:
        """This is the hub of a worker's client: others may publish to it directly."""
        self.worker = worker
        worker.handlers[_OPERATION] = self._accept

    def put(self, topic: str, value: Blob) -> None:
        """Publish a value."""
        self._outbox.append((topic, value))
        self._wake()

    def do(self, function: Callable[..., None], *args: Any) -> None:
        """Have something done on the loop, after all that was published before."""
        self._outbox.append((None, function, args))
        self._wake()

    def _wake(self) -> None:
        loop = self.session.loop
        if self._awake or loop is None:
            return
        self._awake = True
        if asyncio._get_running_loop() is loop:
            loop.call_soon(self._flush)
        else:
            loop.call_soon_threadsafe(self._flush)

    # -- on the loop -------------------------------------------------------------------

    def __call__(self, news: list[Any]) -> None:
        """Take in what the scheduler says about topics."""
        for message in news:
            if type(message) is Published:
                self._deliver(message.topic, message.values)
            else:
                self.routes[message.topic] = message

    def join(self, inbox: Inbox) -> None:
        """Add a subscriber."""
        if self.session.ended is not None:
            inbox.end(self.session.ended)
        self.inboxes.setdefault(inbox.topic, []).append(inbox)

    def leave(self, inbox: Inbox) -> None:
        """Remove a subscriber."""
        mine = self.inboxes.get(inbox.topic, [])
        if inbox in mine:
            mine.remove(inbox)
            if not mine:
                del self.inboxes[inbox.topic]

    def announce(self, topic: str) -> None:
        """Count a publisher."""
        self.publishers[topic] += 1

    def retract(self, topic: str) -> None:
        """Count a publisher less; without any, the scheduler tells nothing of the topic here."""
        self.publishers[topic] -= 1
        if not self.publishers[topic]:
            del self.publishers[topic]
            self.routes.pop(topic, None)

    def _flush(self) -> None:
        self._awake = False
        outbox = self._outbox
        topic = ""
        values: list[Blob] = []
        while outbox:
            item = outbox.popleft()
            if values and item[0] != topic:
                self._publish(topic, values)
                values = []
            if item[0] is None:
                item[1](*item[2])
            else:
                topic = item[0]
                values.append(item[1])
        if values:
            self._publish(topic, values)

    def _publish(self, topic: str, values: list[Blob]) -> None:
        route = self.routes.get(topic)
        if route is None:
            return
        others = route.others > 0
        worker = self.worker
        if worker is None:
            others = others or bool(route.workers)
        else:
            for address in route.workers:
                if address == worker.address:
                    self._deliver(topic, values)
                else:
                    self._link(address).send(Published(topic, values))
        if others:
            self.session.hand(Spoke([Publish(topic, values, worker is None)]))

    def _deliver(self, topic: str, values: list[Blob]) -> None:
        for inbox in self.inboxes.get(topic, ()):
            inbox.receive(values)

    def _link(self, address: str) -> _Link:
        link = self.links.get(address)
        if link is None:
            link = self.links[address] = _Link(self, self.worker, address)
        return link

    def _accept(self, comm: Comm) -> Status:
        """Another worker publishes to this one."""
        codec = BatchCodec[Any](Published)
        stream: MessageStream[Any] = MessageStream(comm, sends=codec, receives=codec)
        self._streams.add(stream)
        stream.start(self, lambda reason: self._streams.discard(stream))
        return Status.dont_reply

    def _look(self) -> None:
        """Something happened to the client; was it the end?"""
        reason = self.session.ended
        if reason is None:
            return
        for inboxes in self.inboxes.values():
            for inbox in inboxes:
                inbox.end(reason)
        for link in list(self.links.values()):
            link.close()
        for stream in list(self._streams):
            stream.abort()


_making = threading.Lock()


def hub_of(session: Session) -> Hub:
    """Return the hub of a session, made at first use."""
    with _making:
        hub = session.on_news
        if hub is None:
            hub = session.on_news = Hub(session)
    assert isinstance(hub, Hub)
    return hub


def wait_blocking(inbox: Inbox, timeout: float | None) -> Blob | None:
    """Block until there is a value; `None` when there is none in time, or never will be."""
    value = inbox.take()
    if value is not None:
        return value
    latch = ThreadLatch()
    waiter = Waiter(latch.open)
    inbox.ask(waiter)
    try:
        if not latch.wait(timeout):
            inbox.leave(waiter)
    except BaseException:
        inbox.give_back(waiter)
        raise
    return waiter.value


async def wait_async(inbox: Inbox, timeout: float | None) -> Blob | None:
    """`wait_blocking` for coroutines."""
    loop = asyncio.get_running_loop()
    woken: asyncio.Future[None] = loop.create_future()

    def settle() -> None:
        if not woken.done():
            woken.set_result(None)

    def wake() -> None:
        with contextlib.suppress(RuntimeError):  # that loop was closed
            loop.call_soon_threadsafe(settle)

    waiter = Waiter(wake)
    inbox.ask(waiter)
    try:
        with aside():
            await asyncio.wait([woken], timeout=timeout)
    except BaseException:
        inbox.give_back(waiter)
        raise
    inbox.leave(waiter)
    return waiter.value
