"""Handlers of logged events, by topic; subscriptions are told again after a reconnection."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from shoal.client.observe.worker_print import HANDLERS
from shoal.wire.messages import TopicEvent

if TYPE_CHECKING:
    from shoal.client.session.context import ClientContext

__all__ = ["TopicHandlers"]

logger = logging.getLogger("shoal.client")


class TopicHandlers:
    """The handlers of one client; one for each topic.

    Coroutine functions run on the client's loop. Plain functions do so too in asynchronous
    clients; otherwise they are called one after the other in a thread, so that they may wait.
    """

    def __init__(self, client: ClientContext) -> None:
        self._client = client
        self._handlers: dict[str, Callable[[Any], Any]] = {}
        client._session.on_event = self._receive  # tasks' prints come without a subscription
        self._running: set[asyncio.Future[Any]] = set()
        self._subscribed = False
        self._stream: Any = None  # where the scheduler knows of the topics
        self._telling: asyncio.Task[None] | None = None

    async def subscribe(self, topic: str, handler: Callable[[Any], Any]) -> None:
        """Call a handler with each event ``(time, message)`` of a topic from now on."""
        if not isinstance(topic, str):
            raise TypeError(f"a topic is named by text, got {topic!r}")
        if not callable(handler):
            raise TypeError(f"a handler must be callable, got {handler!r}")
        client = self._client
        await client
        session = client._session
        if not self._subscribed:
            self._subscribed = True
            session.on_workers.append(self._look)
            self._stream = session.stream
        self._handlers[topic] = handler
        await client.scheduler.subscribe_topic(topic=topic, client=client.id)

    async def unsubscribe(self, topic: str) -> None:
        """Call no handler for a topic any more.

        Raises
        ------
        ValueError
            When there is none.
        """
        await self._client
        if self._handlers.pop(topic, None) is None:
            raise ValueError(f"this client has no handler for the topic {topic!r}")
        await self._client.scheduler.unsubscribe_topic(topic=topic, client=self._client.id)

    def _look(self) -> None:
        """The scheduler said something of workers, or welcome: was it another connection?"""
        stream = self._client._session.stream
        if stream is not None and stream is not self._stream:
            self._stream = stream
            if self._telling is None and self._handlers:
                self._telling = self._client.loop.create_task(self._tell_again())

    async def _tell_again(self) -> None:
        try:
            for topic in list(self._handlers):
                await self._client.scheduler.subscribe_topic(topic=topic, client=self._client.id)
        except (OSError, RuntimeError) as error:  # there will be another connection, or none
            logger.info("could not subscribe again: %s", error)
            self._stream = None
        finally:
            self._telling = None

    def _receive(self, event: TopicEvent) -> None:
        handler = self._handlers.get(event.topic) or HANDLERS.get(event.topic)
        if handler is None:
            return
        what = f"the handler of topic {event.topic!r}"
        told = (event.time, event.message)
        client = self._client
        if not client._asynchronous and not inspect.iscoroutinefunction(handler):
            client._callbacks.call(handler, told, what)
            return
        try:
            result = handler(told)
        except BaseException:
            logger.exception("%s failed with %r", what, told)
            return
        if inspect.isawaitable(result):
            task = asyncio.ensure_future(result)
            self._running.add(task)
            task.add_done_callback(lambda task: self._ended(task, what))

    def _ended(self, task: asyncio.Future[Any], what: str) -> None:
        self._running.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error("%s failed", what, exc_info=task.exception())
