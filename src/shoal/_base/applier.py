"""How a shell carries out what a core asks for: in one order, one event's batch after the other.

The order is that of the fields of the core's `Effects`, where the reasons stand, too. Each core has
one subclass of `Applier` with one function per field, written against ports; the real shell and the
simulator give it theirs. No core, no socket and no thread is known here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import compress
from typing import Generic, TypeVar

import msgspec
from msgspec.structs import astuple

__all__ = ["Applier"]

Event = TypeVar("Event")
Effects = TypeVar("Effects", bound=msgspec.Struct)
Given = TypeVar("Given")


class Applier(Generic[Event, Effects, Given]):
    """Gives events to a core and carries out what follows from each.

    An event that arises while a batch is carried out waits until the batch is carried out whole.
    Otherwise what follows from the later event would come first, in the midst of the earlier batch:
    a timer would be set to a time that is out of date, and a peer would hear the later message
    before the earlier one.

    A subclass has one method for each field of its core's `Effects`, named like the field behind an
    underscore. It is called with the effects, if they ask for something in that field, and with
    what was given to `feed`.

    Parameters
    ----------
    handle : callable
        The core's entry point.
    clock : callable
        Returns the time.
    kind : type
        The core's `Effects`.

    Attributes
    ----------
    watch : callable, optional
        Called with each event and its effects, before they are carried out.
    holds : callable, optional
        Called with effects and with what was given; if it returns true they are not carried out
        now, but when `resume` is called with them.

    Examples
    --------
    >>> class Effects(msgspec.Struct):
    ...     say: str = ""
    ...     again: bool = False
    >>> class Echo(Applier):
    ...     def _say(self, effects, given):
    ...         print(effects.say)
    ...     def _again(self, effects, given):
    ...         self.feed("goodbye")
    >>> echo = Echo(lambda event, now: Effects(event, event == "hello"), lambda: 0.0, Effects)
    >>> echo.feed("hello")
    hello
    goodbye
    """

    def __init__(
        self,
        handle: Callable[[Event, float], Effects],
        clock: Callable[[], float],
        kind: type[Effects],
    ) -> None:
        self.watch: Callable[[Event, Effects], None] | None = None
        self.holds: Callable[[Effects, Given | None], bool] | None = None
        self._steps: list[Callable[[Effects, Given | None], None]] = [
            getattr(self, f"_{field}") for field in kind.__struct_fields__
        ]
        self._handle = handle
        self._clock = clock
        self._queue: deque[tuple[Event, Given | None]] = deque()
        self._busy = False

    def feed(self, event: Event, given: Given | None = None) -> None:
        """Give the core an event and carry out what follows, after all that came before.

        Parameters
        ----------
        event : object
            The event.
        given : object, optional
            An object of the shell that the steps need for this event, and the core must not see.
        """
        if self._busy:
            self._queue.append((event, given))
            return
        self._busy = True
        queue = self._queue
        try:
            if queue:  # left by an event that raised
                queue.append((event, given))
                event, given = queue.popleft()
            while True:
                effects = self._handle(event, self._clock())
                if self.watch is not None:
                    self.watch(event, effects)
                if self.holds is None or not self.holds(effects, given):
                    # The steps of all fields that ask for something, in the order of the fields.
                    for step in compress(self._steps, astuple(effects)):
                        step(effects, given)
                if not queue:
                    return
                event, given = queue.popleft()
        finally:
            self._busy = False

    def resume(self, effects: Effects, given: Given | None) -> None:
        """Carry out effects that were held, then events that arose meanwhile."""
        assert not self._busy
        self._busy = True
        try:
            for step in compress(self._steps, astuple(effects)):
                step(effects, given)
        finally:
            self._busy = False
        if self._queue:
            self.feed(*self._queue.pop())  # which lets those before it go first
