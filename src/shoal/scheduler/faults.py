"""The end of peers that send messages which cannot be taken into account.

It is told why and its connection is closed: later messages build on the one that was not taken, so
to leave one out would have both sides believe different things. No other peer hears of it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from shoal.comm.strangers import clean
from shoal.scheduler.core import ClientLost
from shoal.wire import messages as m

if TYPE_CHECKING:
    from shoal.scheduler.context import SchedulerContext

__all__ = ["close_client", "close_worker"]

logger = logging.getLogger("shoal.scheduler")

_REASON = (
    "it sent a message that the scheduler cannot take: {}. "
    "Compare the versions of shoal on both sides (Client.get_versions); report it if they are equal"
)


def close_client(scheduler: SchedulerContext, client: str, what: str) -> None:
    """Close a client for good: it would say the same again on another connection."""
    reason = _REASON.format(what)
    logger.warning("Closing client %s: %s", clean(client), reason)
    scheduler.client_streams.send(client, [m.SchedulerClosing(reason)])
    scheduler.client_streams.dismiss_soon(client)
    scheduler.topics.forget(client)
    scheduler.feed(ClientLost(client, reason))


def close_worker(scheduler: SchedulerContext, address: str, what: str) -> None:
    """Close a worker, whose nanny starts another; what it ran is run elsewhere."""
    reason = _REASON.format(what)
    scheduler.worker_streams.send(address, [m.CloseWorker(reason, restart=True)])
    scheduler.worker_streams.dismiss_soon(address)
    if address in scheduler.state.workers:
        scheduler.lose_worker(address, reason)
    else:
        logger.warning("Closing worker %s: %s", clean(address), reason)
