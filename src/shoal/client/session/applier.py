"""Carries out what the client's core asks for; the order is that of the fields of `Effects`.

Nothing here touches a socket, a thread or a user's future: that is what the ports are for. The real
client and the simulator's use the same `ClientApplier` with ports of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeAlias

import msgspec

from shoal._base.applier import Applier
from shoal.client.core.effects import Effects
from shoal.client.core.events import Event
from shoal.client.core.machine import Machine
from shoal.client.core.state import Record

__all__ = ["Calls", "ClientApplier", "Futures", "Link"]


class Link(Protocol):
    """The connection to the scheduler; without one, what is sent is dropped."""

    def send(self, messages: list[Any], /) -> None:
        """Send a batch; it leaves at the end of the loop's turn."""

    def send_now(self, messages: list[Any], /) -> None:
        """Send a batch at once, in any thread."""


class Futures(Protocol):
    """The records that have futures, and those who wait for them."""

    def forget(self, records: list[Record], /) -> None:
        """The next submit of one of these keys begins anew."""

    def tell_watchers(self, records: list[Record], /) -> None:
        """Records have changed."""


class Calls(Protocol):
    """The other things that happen in the client's process."""

    def heard(self, news: list[Any], /) -> None:
        """Messages of topics came."""

    def logged(self, event: Any, /) -> None:
        """An event of a topic that this client subscribed to was logged."""

    def lock_lost(self, kind: str, name: str, /) -> None:
        """A lock that this client held went to another client."""

    def ended(self, reason: str, /) -> None:
        """Nothing more can be done."""

    def workers_changed(self) -> None:
        """Workers came or went."""


class _Handled(msgspec.Struct, gc=False):
    """Stands for an event that another thread told the core; its messages are sent."""

    effects: Effects


_Fed: TypeAlias = Event | _Handled


class ClientApplier(Applier[_Fed, Effects, None]):
    """Carries out effects of a client's core.

    Parameters
    ----------
    machine : Machine
        The core.
    clock : callable
        Returns the time.
    speaking : context manager
        A lock that may be taken again by who has it. It is held while the core is told something
        and what it says is sent: messages leave in the order in which the core made them, whichever
        threads tell it.
    link : Link
        Speaks to the scheduler.
    futures : Futures
        Are told what changed.
    calls : Calls
        Does the rest.
    """

    def __init__(
        self,
        machine: Machine,
        clock: Callable[[], float],
        *,
        speaking: AbstractContextManager[Any],
        link: Link,
        futures: Futures,
        calls: Calls,
    ) -> None:
        self._machine = machine
        self._time = clock
        self._speaking = speaking
        self._link = link
        self._futures = futures
        self._calls = calls
        super().__init__(self._tell, clock, Effects)

    def speak(self, *events: Event) -> list[Effects]:
        """Tell the core of events and send at once what it says, in any thread.

        Their other effects are to be given to `follow`, on the loop.
        """
        with self._speaking:
            now = self._time()
            effects: list[Effects] = []
            messages: list[Any] = []
            for event in events:
                one = self._machine.handle(event, now)
                effects.append(one)
                messages += one.messages
            if messages:
                self._link.send_now(messages)
        return effects

    def follow(self, effects: Effects) -> None:
        """Carry out what `speak` left."""
        self.feed(_Handled(effects))

    def _tell(self, event: _Fed, now: float) -> Effects:
        if isinstance(event, _Handled):
            return event.effects
        with self._speaking:
            effects = self._machine.handle(event, now)
            if effects.messages:
                for messages in effects.batches():
                    self._link.send(messages)
        return effects

    def _messages(self, effects: Effects, given: None) -> None:
        """They were sent by who told the core, before anybody else could."""

    def _cuts(self, effects: Effects, given: None) -> None:
        """A part of `messages`."""

    def _refused(self, effects: Effects, given: None) -> None:
        self._futures.forget(effects.refused)

    def _changed(self, effects: Effects, given: None) -> None:
        self._futures.tell_watchers(effects.changed)

    def _news(self, effects: Effects, given: None) -> None:
        self._calls.heard(effects.news)

    def _events(self, effects: Effects, given: None) -> None:
        for event in effects.events:
            self._calls.logged(event)

    def _lost(self, effects: Effects, given: None) -> None:
        for kind, name in effects.lost:
            self._calls.lock_lost(kind, name)

    def _ended(self, effects: Effects, given: None) -> None:
        assert effects.ended is not None
        self._calls.ended(effects.ended)
        self._calls.workers_changed()  # no call need wait for workers any longer

    def _workers_changed(self, effects: Effects, given: None) -> None:
        self._calls.workers_changed()
