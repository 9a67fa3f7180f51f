"""A thread that submits a task, waits for its result, and then submits the next: past the loop.

The loop's thread stands between the user's and the connection, and to wake it, and be woken by it,
is a good part of what a lone task takes. When it sees that tasks come one by one it lends the
connection (see `shoal.comm.thread_reader`), and the user's thread tells the core what it wants,
sends it, and reads the result. Released keys go along with what it submits next, or
is found by the loop, which looks now and then. A thread that submits two tasks in a row has others
to come, which are better sent together: it leaves them to the loop.

A signal handler may raise in the main thread between any two steps. The message that it was about
to send is then sent again, by the loop.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

from shoal.client.core.events import Event, FromScheduler, Interrupted, Released, Submitted
from shoal.client.core.state import DONE, Record
from shoal.task_context import current_task
from shoal.wire.messages import KeysInMemory

if TYPE_CHECKING:
    from shoal.client.core.effects import Effects
    from shoal.client.session.session import Session

__all__ = ["OneByOne"]

_POLL_INTERVAL = 0.02  # seconds after which the loop looks what was left in the outbox
# Seconds for which a thread reads. A longer task gains nothing by it, and a longer wait must
# hear of what happens here: a task that another thread cancels, for one.
_READ = 0.05


class OneByOne:
    """The part of the loop that a session's threads do by themselves while tasks come one by one.

    Parameters
    ----------
    session : Session
        Whose outbox and core are used.

    Attributes
    ----------
    on : bool
        Whether tasks come one by one. Changed on the loop only.
    awaited : str
        Key of the last task that a thread waited for, and for nothing else.
    """

    __slots__ = ("_session", "_told", "_waited", "awaited", "on")

    def __init__(self, session: Session) -> None:
        self.on = False
        self.awaited = ""
        self._session = session
        self._waited = 0  # the thread that waited since a task was told, if any did
        self._told = False  # whether any was told since the loop looked

    # ------------------------------------------------------------------ on the loop

    def begin(self) -> None:
        """Tasks come one by one."""
        if not self.on:
            self.on = self._told = True
            asyncio.get_running_loop().call_later(_POLL_INTERVAL, self._look)

    def _look(self) -> None:
        told, self._told = self._told, False
        # First: a thread that saw it on has put its item into the outbox before.
        self.on = told
        self._session.outbox.wake_if_needed()
        if told:
            asyncio.get_running_loop().call_later(_POLL_INTERVAL, self._look)

    # ------------------------------------------------------------------ in threads

    def tell(self) -> bool:
        """Hand over what is in the outbox; return whether the loop need not."""
        session = self._session
        if self._waited != threading.get_ident() or session.outbox.flushing:
            return False
        self._waited = 0
        records: list[Record] = []
        released: dict[str, None] = {}
        try:
            with session.outbox.handing:
                if session.stream is None:
                    return False
                self._told = True
                all_of_it = self._take(records, released)
                self._say(records, released)
                return all_of_it
        except BaseException:
            self._do_on_loop(session.hand, Interrupted(records, list(released)))
            raise

    def _take(self, records: list[Record], released: dict[str, None]) -> bool:
        """Take what is lone tasks and releases; return whether that is all there was."""
        outbox = self._session.outbox
        while outbox:
            item = outbox[0]
            if type(item) is Record and item.key not in released:
                records.append(item)  # first: rather twice than not at all
                outbox.popleft()
            elif type(item) is tuple:
                outbox.popleft()
                self._session.futures.uncount(item[0], released)
            elif type(item) is Released:
                released.update(dict.fromkeys(item.keys))  # first, as above
                outbox.popleft()
            else:
                return False
        return True

    def _say(self, records: list[Record], released: dict[str, None]) -> None:
        session = self._session
        events: list[Event] = [Submitted(records)] if records else []
        if released:
            events.append(Released(list(released)))
        for effects in session.applier.speak(*events):
            if effects.changed:
                self._do_on_loop(session.applier.follow, effects)

    def wait(self, record: Record, seconds: float | None) -> None:
        """Wait for a task in this thread, if the loop lends the connection.

        Returns when it is done, the time is over, or it is for the loop to see to it.
        """
        session = self._session
        stream = session.stream
        if current_task() is not None:
            return
        self.awaited = key = record.key
        self._waited = threading.get_ident()
        if not self.on or stream is None:
            return

        def take(messages: list[Any]) -> bool:
            first = messages[0]
            if len(messages) > 1 or type(first) is not KeysInMemory or first.keys != [key]:
                return False
            if record.watch:  # others wait for it, too
                return False
            (effects,) = session.applier.speak(FromScheduler(messages))
            if any(changed.watch for changed in effects.changed):  # others wait for it by now
                self._do_on_loop(session.applier.follow, effects)
            return True

        seconds = _READ if seconds is None else min(seconds, _READ)
        stream.read_in_thread(take, lambda: record.status in DONE, seconds)

    def _do_on_loop(self, function: Any, argument: Event | Effects) -> None:
        loop = self._session.loop
        assert loop is not None
        try:
            loop.call_soon_threadsafe(function, argument)
        except RuntimeError:  # it is closed: nobody is there to hear
            pass
