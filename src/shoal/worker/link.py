"""The line to the scheduler: made, used, lost, and made again for a while."""

from __future__ import annotations

import asyncio
import hmac
import logging
import secrets
from collections.abc import Callable
from typing import Any

from shoal.comm.base import connect
from shoal.comm.strangers import clean
from shoal.comm.stream import MessageStream
from shoal.errors import FatalCommClosedError
from shoal.wire import messages as m
from shoal.wire.codec import BatchCodec

__all__ = ["SchedulerLink"]

logger = logging.getLogger("shoal.worker")

_ONE_TRY = 5.0  # seconds
_PAUSE = 0.1
_PAUSE_AFTER_FAULT = 1.0
_SILENT = 3.0  # then the log says what it waits for


class SchedulerLink:
    """Connects to the scheduler, and again whenever the connection was lost.

    Parameters
    ----------
    address : str
        The scheduler's.
    connection_args : dict
        The result of `Security.get_connection_args`.
    on_up, on_down : callable
        Called when a connection was made, and with the reason when it ended.
    on_messages : callable
        Called with each batch of messages.
    patience : float or None
        Seconds to look for the scheduler at first; None: for ever.
    reconnect : float
        Seconds to look for it after the connection was lost; 0: not at all.
    look_up : callable, optional
        Returns the scheduler's address as it is known now, before each attempt; None: as before.
    """

    def __init__(
        self,
        address: str,
        connection_args: dict[str, Any],
        *,
        on_up: Callable[[], None],
        on_down: Callable[[str], None],
        on_messages: Callable[[list[Any]], None],
        patience: float | None,
        reconnect: float,
        look_up: Callable[[], str | None] = lambda: None,
    ) -> None:
        self.address = address
        self._look_up = look_up
        self._args = connection_args
        self._token = secrets.token_bytes(16)
        self._on_up = on_up
        self._on_down = on_down
        self._on_messages = on_messages
        self._patience = patience
        self._reconnect = reconnect
        self._stream: MessageStream[Any] | None = None
        self._ended: asyncio.Future[str] | None = None
        self._stopping = False
        self._faulty = False  # the present connection, or the one before

    @property
    def up(self) -> bool:
        """Whether there is a connection."""
        return self._stream is not None

    def began(self, token: Any) -> bool:
        """Whether a stream with this token is from here: see `shoal.scheduler.claims`."""
        return isinstance(token, bytes) and hmac.compare_digest(self._token, token)

    def send(self, messages: list[Any]) -> None:
        """Send a batch; without a connection it is dropped."""
        if self._stream is not None:
            self._stream.send(messages)

    async def run(self) -> str:
        """Keep the connection up; return why that is not possible any more."""
        patience = self._patience
        while True:
            try:
                stream = await self._connect(patience)
            except OSError as error:
                return f"no scheduler at {self.address}: {error}"
            ended = self._ended = asyncio.get_running_loop().create_future()

            def closed(reason: BaseException | None, ended: asyncio.Future[str] = ended) -> None:
                self._stream = None
                if not ended.done():
                    ended.set_result(str(reason or "it was closed"))

            def fault(error: Exception, stream: MessageStream[Any] = stream) -> None:
                self._complain(stream, error)

            self._stream = stream
            self._faulty = False
            stream.start(self._on_messages, closed, on_fault=fault)
            self._on_up()
            reason = await ended
            if self._faulty:  # it may say the same again at once
                await asyncio.sleep(_PAUSE_AFTER_FAULT)
            if self._stopping:
                return "closed"
            self._on_down(reason)
            if not self._reconnect:
                return f"the connection to the scheduler was lost: {reason}"
            logger.info("Lost the scheduler at %s (%s); looking for it", self.address, reason)
            patience = self._reconnect

    def _complain(self, stream: MessageStream[Any], error: Exception) -> None:
        """Begin anew with a scheduler whose message cannot be taken: it hears all there is here."""
        self._faulty = True
        text = f"the scheduler sent a message that cannot be taken: {clean(error)}"
        logger.error("%s; connecting again", text)
        # So that it is seen on both sides.
        stream.send([m.EventLogged(["invalid-message"], {"from": "worker", "text": text})])
        stream.close_soon()

    async def _connect(self, patience: float | None) -> MessageStream[Any]:
        loop = asyncio.get_running_loop()
        deadline = None if patience is None else loop.time() + patience
        slow = loop.time() + _SILENT
        while True:
            left = _ONE_TRY if deadline is None else min(_ONE_TRY, deadline - loop.time())
            self.address = self._look_up() or self.address
            try:
                comm = await connect(self.address, max(left, _PAUSE), **self._args)
                await comm.write(
                    {"op": "stream", "edge": "worker", "token": self._token, "reply": False}
                )
            except OSError as error:
                # A scheduler that is being killed accepts and closes: only at first is a refusal
                # final.
                refused = self._ended is None and isinstance(error, FatalCommClosedError)
                if refused or (deadline is not None and loop.time() + _PAUSE > deadline):
                    raise
                if loop.time() > slow:
                    logger.warning("Waiting to connect to %s: %s", self.address, error)
                    slow = loop.time() + 60
                await asyncio.sleep(_PAUSE)
            else:
                comm.name = "worker to scheduler"
                return MessageStream(
                    comm,
                    sends=BatchCodec(m.WorkerToScheduler),
                    receives=BatchCodec(m.SchedulerToWorker),
                )

    def last(self) -> None:
        """Make no other connection after the present one."""
        self._stopping = True

    async def say_goodbye(self, reason: str, timeout: float) -> None:
        """Tell the scheduler that this worker leaves, wait until it has heard it, and stay
        closed.
        """
        self._stopping = True
        if self._stream is not None and self._ended is not None:
            self._stream.send([m.WorkerGoodbye(reason)])
            await asyncio.wait([self._ended], timeout=timeout)
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.abort()
        if self._ended is not None and not self._ended.done():
            self._ended.set_result("closed")
