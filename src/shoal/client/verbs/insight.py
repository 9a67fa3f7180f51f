"""Methods of `Client` that tell what happens on the cluster: events, profiles, task streams."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from shoal._base.loop import SyncMethodMixin
from shoal.client import notes
from shoal.client.topics import TopicHandlers

if TYPE_CHECKING:
    from shoal.client.client import Client

__all__ = ["InsightVerbs"]


class InsightVerbs(SyncMethodMixin):
    """Events and topics, profiles, task streams, dumps."""

    _topics: TopicHandlers

    def _self(self) -> Client:
        return self  # type: ignore[return-value]

    # ------------------------------------------------------------------ events

    def get_events(self, topic: str | None = None) -> Any:
        """Return the remembered events of a topic, or of all topics: (time, message)."""
        return self.sync(self._self()._ask, "events", topic=topic)

    def log_event(self, topic: str | list[str], msg: Any) -> Any:
        """Have the scheduler remember an event, and tell those who subscribed to its topic.

        Parameters
        ----------
        topic : str or list of str
            Under which name, or names.
        msg : object
            Plain data: texts, numbers, lists, dicts.

        Examples
        --------
        >>> from time import time
        >>> client.log_event("current-time", time())  # doctest: +SKIP
        """
        return self.sync(notes.log_event, self._self(), topic, msg)

    def subscribe_topic(self, topic: str, handler: Callable[[Any], Any]) -> Any:
        """Have a function called with each event of a topic from now on.

        Parameters
        ----------
        topic : str
            The topic; ``"all"`` has what the scheduler itself logs.
        handler : callable or coroutine function
            Called with ``(time, message)``; the time is the scheduler's. It takes the place of an
            older handler of the topic. Coroutine functions run on the client's event loop; plain
            functions in a thread, one after the other (in asynchronous clients, on the loop).

        Examples
        --------
        >>> client.subscribe_topic("news", print)  # doctest: +SKIP
        >>> client.log_event("news", "it works")  # doctest: +SKIP
        (1700000000.0, 'it works')
        """
        return self.sync(self._topics.subscribe, topic, handler)

    def unsubscribe_topic(self, topic: str) -> Any:
        """Have no function called for a topic any more.

        Raises
        ------
        ValueError
            When there was none.
        """
        return self.sync(self._topics.unsubscribe, topic)
