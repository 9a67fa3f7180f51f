"""Puts of a stream's task, of which several are under way at a time: a part costs no round trip.

The messages between the scheduler and the stream's reader are in `stream`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from shoal.client.core.asks import Asking
from shoal.client.core.events import RequestMade
from shoal.coordination.queue import Queue
from shoal.coordination.values import pack
from shoal.coordination.variable import Variable
from shoal.wire.messages import Ask

__all__ = ["Sender"]


class Sender:
    """Puts items into a queue in their order, so many ahead of the answers.

    Parameters
    ----------
    queue : Queue
        Where to put.
    most : int
        Puts that may be under way.
    position : Variable, optional
        Where to note how many items came into the queue.
    begun : int
        How many came before.
    wake : callable
        Called on the client's loop when an answer came: `offer` and `all_came` may have another
        one now.
    """

    def __init__(
        self,
        queue: Queue,
        most: int,
        position: Variable | None,
        begun: int,
        wake: Callable[[], object],
    ) -> None:
        self._queue = queue
        self._session = queue.client._session
        self._most = most
        self._position = position
        self._wake = wake
        self._lock = threading.Lock()  # of what follows: the task's thread, and the client's loop
        self._flying = 0
        self._came = begun
        self._noted = begun
        self._noting = False
        self._error = ""

    def offer(self, item: Any) -> bool:
        """Put an item, unless enough puts are under way; return whether it was put.

        Raises
        ------
        RuntimeError
            When the queue is closed, or the client.
        """
        with self._lock:
            self._raise_error()
            if self._flying >= self._most:
                return False
            self._flying += 1
        try:
            packed, keys = pack(item, "queue")
        except BaseException:
            with self._lock:
                self._flying -= 1
            raise
        self._ask(self._queue, "put", [self._queue.maxsize, packed], keys, self._put)
        return True

    def all_came(self) -> bool:
        """Return whether all that was put is in the queue; raises as `offer` does."""
        with self._lock:
            self._raise_error()
            return not self._flying

    def _raise_error(self) -> None:
        if self._error:
            raise RuntimeError(self._error)

    def _ask(
        self,
        place: Queue | Variable,
        op: str,
        args: list[Any],
        keys: list[str],
        then: Callable[[Asking], None],
    ) -> None:
        session = self._session
        ask = Ask(next(session.ask_ids), place.kind, place._wire_name, op, args, keys)
        session.post(RequestMade(Asking(ask, then)))

    def _put(self, asking: Asking) -> None:
        answer = asking.answer
        assert answer is not None
        with self._lock:
            self._flying -= 1
            if answer.error:
                self._error = self._error or str(answer.value or answer.error)
            else:
                self._came += 1
        if self._position is not None and not answer.error:
            self._note()
        self._wake()

    def _note(self) -> None:
        """Note how many came, unless that is being done: then once more when it is."""
        with self._lock:
            if self._noting or self._noted == self._came or self._position is None:
                return
            self._noting = True
            self._noted = self._came
            packed, _ = pack(self._noted, "variable")
        self._ask(self._position, "set", [packed], [], self._was_noted)

    def _was_noted(self, asking: Asking) -> None:
        with self._lock:
            self._noting = False
        if asking.answer is not None and not asking.answer.error:
            self._note()
