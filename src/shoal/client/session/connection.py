"""The client's stream to its scheduler, and the way back to one that was lost. On the loop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from typing import TYPE_CHECKING, Any

from shoal import config
from shoal._base.within import within
from shoal.client.core.events import Connected, Disconnected, FromScheduler, GaveUp
from shoal.client.session.latches import nudge
from shoal.client.session.silence import SilenceWatch
from shoal.comm.base import connect
from shoal.comm.strangers import clean
from shoal.comm.stream import MessageStream
from shoal.errors import CommClosedError
from shoal.wire.codec import BatchCodec
from shoal.wire.failures import pack_failure
from shoal.wire.messages import (
    Answer,
    Ask,
    ClientHeartbeat,
    ClientToScheduler,
    KeyErred,
    KeysInMemory,
    SchedulerToClient,
)

if TYPE_CHECKING:
    from shoal.client.session.session import Session
    from shoal.comm.base import Comm

__all__ = ["Connection"]

logger = logging.getLogger("shoal.client")

# Answers to waiting threads, with nothing between them, after which threads read by themselves.
_IN_A_ROW = 3
_PAUSE_AFTER_FAULT = 1.0  # seconds


class Connection:
    """Keeps a session connected to the scheduler at one address.

    Parameters
    ----------
    session : Session
        The session whose messages travel here.
    address : str
        Of the scheduler.
    connection_args : dict
        The result of `Security.get_connection_args`.
    heartbeat : float
        Seconds between two signs of life.
    """

    def __init__(
        self, session: Session, address: str, connection_args: dict[str, Any], heartbeat: float
    ) -> None:
        self.session = session
        self.address = address
        self._args = connection_args
        self._token = secrets.token_bytes(16)
        self._heartbeat = heartbeat
        self._patience = config.get_seconds("shoal.recovery.reconnect")
        self._loop = asyncio.get_running_loop()
        self._stream: MessageStream[Any] | None = None
        self._closing = False
        self._lost_since: float | None = None
        self._reconnecting: asyncio.Task[None] | None = None
        self._beat: asyncio.TimerHandle | None = None
        self._sentinel: asyncio.Task[None] | None = None
        self._pause = 0.0  # seconds before the next attempt to connect again
        self._answers = 0  # to threads that wait, in a row
        self._silence = SilenceWatch(address, lambda: session.client.scheduler.echo(data=None))

    async def open(self, timeout: float) -> None:
        """Connect, say who we are, and wait to be welcomed.

        Raises
        ------
        OSError
            When no scheduler answered in time.
        """
        deadline = self._loop.time() + timeout
        comm = await connect(self.address, timeout, **self._args)
        welcomed: asyncio.Future[None] = self._loop.create_future()

        def look() -> None:
            if not welcomed.done():
                welcomed.set_result(None)

        self.session.on_workers.append(look)
        try:
            await self._begin(comm)
            await within(welcomed, max(0.1, deadline - self._loop.time()))
        except TimeoutError:
            await self.close()
            raise OSError(
                f"the scheduler at {self.address} accepted the connection, but did not answer "
                f"within {timeout:g} s"
            ) from None
        finally:
            self.session.on_workers.remove(look)
        if self.session.ended is not None:
            raise OSError(f"cannot connect to {self.address}: {self.session.ended}")
        if self.session.asynchronous:
            self._sentinel = self._loop.create_task(self._end_with_the_loop())
        self._pulse()

    async def _end_with_the_loop(self) -> None:
        """Notice that `asyncio.run` cancels all tasks: nothing is to be begun on its loop then."""
        try:
            await self._loop.create_future()
        except asyncio.CancelledError:
            self._closing = True
            self._detach()
            raise

    async def _begin(self, comm: Comm) -> None:
        await comm.write({"op": "stream", "edge": "client", "token": self._token})
        stream: MessageStream[Any] = MessageStream(
            comm, sends=BatchCodec(ClientToScheduler), receives=BatchCodec(SchedulerToClient)
        )
        stream.on_unsendable = self._unsendable
        self._stream = self.session.stream = stream
        stream.start(
            self._receive,
            lambda reason: self._lost(stream, reason),
            direct=True,
            on_fault=lambda error: self._complain(stream, error),
        )
        self.session.hand(Connected())

    def _receive(self, messages: list[Any]) -> None:
        if self._lost_since is not None:
            self._lost_since = None
            logger.info("connected to the scheduler at %s again", self.address)
        self._silence.heard()
        self.session.hand(FromScheduler(messages))
        if len(messages) == 1 and self._somebody_waits(messages[0]):
            self._answers += 1
            if self._answers > _IN_A_ROW and self._stream is not None:
                self._stream.lend()
                if type(messages[0]) is KeysInMemory:
                    self.session.one_by_one.begin()
        else:
            self._answers = 0
        if self.session.ended is not None and not self._closing:
            self._closing = True
            self._detach()

    def _complain(self, stream: MessageStream[Any], error: Exception) -> None:
        """Begin anew with a scheduler whose message cannot be taken: it is told all again."""
        self._pause = _PAUSE_AFTER_FAULT
        text = f"the scheduler sent a message that cannot be taken: {clean(error)}"
        logger.error("%s", text)
        self._lost(stream, CommClosedError(text))
        stream.abort()

    def _somebody_waits(self, message: Any) -> bool:
        """Whether a thread waited for this and for nothing else, as far as is known."""
        if type(message) is Answer:
            return message.id == self.session.asked_last
        return type(message) is KeysInMemory and message.keys == [self.session.one_by_one.awaited]

    def _unsendable(self, message: Any, error: Exception) -> None:
        """A message was not sent, and never will be: its tasks, or who asks, are told why."""
        why = f"this cannot be sent to the scheduler: {error}"
        if isinstance(message, Ask):
            self.session.hand(FromScheduler([Answer(message.id, why, "ValueError")]))
            return
        failure = pack_failure(TypeError(why))
        erred = [
            KeyErred(key, failure.exception, failure.traceback, "")
            for key in getattr(message, "keys", ())
        ]
        self.session.hand(FromScheduler(erred))

    def _lost(self, stream: MessageStream[Any], reason: BaseException | None) -> None:
        if stream is not self._stream:
            return
        self._stream = self.session.stream = None
        self.session.hand(Disconnected())
        if self._closing or self.session.ended is not None:
            return
        if self._lost_since is None:
            self._lost_since = self._loop.time()
            logger.warning(
                "lost the connection to the scheduler at %s (%s); trying to connect again for %g s",
                self.address,
                reason or "it was closed by the scheduler",
                self._patience,
            )
        self._reconnecting = self._loop.create_task(self._reconnect(reason))

    async def _reconnect(self, reason: BaseException | None) -> None:
        assert self._lost_since is not None
        deadline = self._lost_since + self._patience
        pause = 0.02
        if self._pause:  # it may say the same again at once
            await asyncio.sleep(self._pause)
            self._pause = 0.0
        problem: OSError = OSError(f"it did not answer for {self._patience:g} s")
        while (left := deadline - self._loop.time()) > 0:
            try:
                comm = await connect(self.address, left, **self._args)
                await self._begin(comm)
                return
            except OSError as error:
                # Also when it refuses us: a scheduler that ends or begins does that, too.
                problem = error
            await asyncio.sleep(min(pause, left))
            pause = min(pause * 1.5, 1.0)
        self._give_up(reason, problem)

    def _give_up(self, reason: BaseException | None, error: BaseException) -> None:
        text = (
            f"the connection to the scheduler at {self.address} was lost"
            f"{f' ({reason})' if reason else ''} and could not be made again: {error}"
        )
        logger.error("%s", text)
        self.session.hand(GaveUp(text))

    def _pulse(self) -> None:
        if self._closing:
            return
        if self._stream is not None:
            self._stream.send([ClientHeartbeat()])
            if self.session.records:
                self._silence.look()
        nudge()
        self._beat = self._loop.call_later(self._heartbeat, self._pulse)

    def _detach(self) -> None:
        stream, self._stream = self._stream, None
        self.session.stream = None
        if self._sentinel is not None:
            self._sentinel.cancel()
        if self._beat is not None:
            self._beat.cancel()
        self._silence.stop()
        if stream is not None:
            stream.abort()

    async def close(self) -> None:
        """Send what is to be sent and disconnect."""
        self._closing = True
        if self._reconnecting is not None:
            self._reconnecting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reconnecting
        stream, self._stream = self._stream, None
        if stream is not None:
            with contextlib.suppress(OSError):
                await stream.close()
        self._detach()
