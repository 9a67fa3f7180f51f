"""Log records of workers, handled here by the loggers of the same names."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from shoal.client.admin import plugins
from shoal.plugins.builtin.forward_logging import ForwardLogging

if TYPE_CHECKING:
    from shoal.client.observe.event_handlers import TopicHandlers
    from shoal.client.session.context import ClientContext

__all__ = ["forward_logging", "unforward_logging"]


async def forward_logging(
    client: ClientContext, topics: TopicHandlers, logger_name: str | None, level: int | str
) -> None:
    """Have workers tell what a logger handles, and handle it here."""
    plugin = ForwardLogging(logger_name, level, _topic(logger_name))
    await topics.subscribe(plugin.topic, handle)
    await plugins.register_any(client, plugin, plugin.name, None, "worker", {})


async def unforward_logging(
    client: ClientContext, topics: TopicHandlers, logger_name: str | None
) -> None:
    """End what `forward_logging` began."""
    topic = _topic(logger_name)
    await plugins.unregister(client, ForwardLogging(logger_name, 0, topic).name, "worker")
    await topics.unsubscribe(topic)


def _topic(logger_name: str | None) -> str:
    return f"forward-logging-{logger_name or '<root>'}"


def handle(event: tuple[float, dict[str, Any]]) -> None:
    """Give a record to the logger of its name, where that wants its level."""
    record = logging.makeLogRecord(event[1])
    log = logging.getLogger(record.name)
    if log.isEnabledFor(record.levelno):
        log.handle(record)
