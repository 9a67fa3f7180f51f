"""A client's unanswered requests to primitives, and what it holds of them. Pure.

After a reconnection all of it is said again: the pending asks, and claims to what is held. So the
keys in the value of a pending ask stay, even when their last future is gone meanwhile. The shell's
`Asking` goes with each ask; it is given the answer once, whatever happens.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from shoal.wire.messages import Answer, Ask, Resume, Took, Unask

__all__ = ["CLAIM", "Asking", "Asks"]

CLAIM = -1  # the id of asks that nobody waits for are below zero


class Asking(msgspec.Struct, eq=False):
    """One ask, and how to wake the call that waits for the answer."""

    ask: Ask
    wake: Callable[[Asking], None]  # called when the answer is there, on the loop
    claim: tuple[str, list[Any]] | None = None  # how to claim the answer again, if it is held
    gives_back: int = 0  # the ask whose answer was held until now
    takes: bool = False  # the answer hands something over
    answer: Answer | None = None
    over: bool = False  # no call waits, and none will look at the answer


class Asks:
    """All asks of one client."""

    __slots__ = (
        "carried",
        "claims",
        "connected",
        "ended",
        "freed",
        "held",
        "left",
        "lost",
        "newest",
        "pending",
        "returned",
        "returns",
        "unasked",
        "used",
    )

    def __init__(self) -> None:
        self.pending: dict[int, Asking] = {}
        self.unasked: dict[int, None] = {}  # asks of `pending` whose time is over
        self.held: dict[int, tuple[str, str, tuple[str, list[Any]]]] = {}  # kind, name, claim
        self.claims: dict[int, int] = {}  # claims on their way -> what they claim
        self.returns: list[int] = []  # given back while there was no connection
        # Given back on this connection, and not known to be heard: the newest ask at that time.
        self.returned: dict[int, int] = {}
        self.newest = 0  # the highest number of an ask
        self.lost: list[tuple[str, str]] = []  # (kind, name) of claims that failed
        self.carried: dict[str, int] = {}  # keys in values of pending asks, and of how many
        self.left: dict[str, None] = {}  # keys of `carried` that nothing else keeps any more
        self.freed: list[str] = []  # keys that nothing keeps at all
        self.connected = False
        self.used = False
        self.ended: str | None = None

    def ask(self, asking: Asking) -> list[Any]:
        """Ask; return the messages to send."""
        self.used = True
        if self.ended is not None:
            self._settle(asking, Answer(asking.ask.id, self.ended, "RuntimeError"))
            return []
        self.pending[asking.ask.id] = asking
        self.newest = max(self.newest, asking.ask.id)
        for key in asking.ask.keys:
            self.carried[key] = self.carried.get(key, 0) + 1
        if asking.gives_back:
            self.held.pop(asking.gives_back, None)
        return [asking.ask] if self.connected else []

    def unask(self, asking: Asking) -> list[Any]:
        """The caller waits no longer: what is the answer now?"""
        id = asking.ask.id
        if id not in self.pending:
            if asking.answer is None:  # it waited for its turn, and was not asked
                self._settle(asking, Answer(id, "", "TimeoutError"))
            return []
        if not self.connected:
            self._time_is_over(asking)
            return []
        self.unasked[id] = None
        return [Unask(id)]

    def abandon(self, asking: Asking) -> list[Any]:
        """The caller will not look at the answer: the value in it is given back.

        So is what it was to give back, as nobody knows whether the scheduler was asked.
        """
        asking.over = True
        ids = [asking.ask.id]
        if asking.gives_back:
            ids.append(asking.gives_back)
        for id in ids:
            self._drop(id)
            self.unasked.pop(id, None)
            self.held.pop(id, None)
        if not self.connected:
            self.returns += ids
            return []
        return self._give_back(ids)

    def answered(self, msg: Answer) -> None:
        """The scheduler answered. An answer that comes again changes nothing.

        Nor does one whose handling was interrupted, and begins anew: it is forgotten last.
        """
        if self.returned:
            # A later ask was heard, so was all that was said before it.
            self.returned = {id: at for id, at in self.returned.items() if at >= msg.id}
        claimed = self.claims.pop(msg.id, None)
        if claimed is not None:
            held = self.held.get(claimed)
            if held is not None and not msg.value:
                del self.held[claimed]
                self.lost.append(held[:2])
            return
        asking = self.pending.get(msg.id)
        if asking is None:
            return
        self.unasked.pop(msg.id, None)
        if asking.claim is not None and not msg.error and msg.value:
            op, args = asking.claim
            if op == "claim" and type(msg.value) is list:
                args = [msg.value]  # the locks there were, of those asked for
            self.held[msg.id] = (asking.ask.kind, asking.ask.name, (op, args))
        self._settle(asking, msg)
        self._drop(msg.id)

    def took(self, asking: Asking) -> list[Any]:
        """The caller has the value that was handed over."""
        return [Took([asking.ask.id])] if self.connected else []

    def connect(self) -> list[Any]:
        """Return what a scheduler must hear that may know nothing."""
        self.connected = True
        if not self.used:
            return []
        messages = self._give_back(self.returns)
        self.returns = []
        asks = []
        self.claims = {}
        for id, (kind, name, (op, args)) in self.held.items():
            number = CLAIM - id
            self.claims[number] = id
            asks.append(Ask(number, kind, name, op, [*args, id]))
        asks += [asking.ask for asking in self.pending.values()]
        return [*messages, Resume(asks)]

    def disconnect(self) -> None:
        """The connection is lost: nobody waits for its answers whose time was over."""
        self.connected = False
        self.returns += self.returned
        self.returned = {}
        unasked, self.unasked = self.unasked, {}
        for id in unasked:
            self._time_is_over(self.pending[id])

    def end(self, reason: str) -> None:
        """There will be no answers any more."""
        if self.ended is not None:
            return
        self.ended = reason
        self.connected = False
        pending, self.pending = self.pending, {}
        self.held.clear()
        self.unasked.clear()
        self.carried.clear()
        self.left.clear()
        for id, asking in pending.items():
            self._settle(asking, Answer(id, reason, "RuntimeError"))

    def take_lost(self) -> list[tuple[str, str]]:
        """Return what was held and is not any more, once."""
        lost, self.lost = self.lost, []
        return lost

    def _time_is_over(self, asking: Asking) -> None:
        """The caller waits no longer; the value of the answer, if there was one, is given back."""
        id = asking.ask.id
        self._drop(id)
        self.returns.append(id)
        self._settle(asking, Answer(id, "", "TimeoutError"))

    def _give_back(self, ids: list[int]) -> list[Any]:
        """Return the messages that give back what these asks were answered."""
        self.returned.update(dict.fromkeys(ids, self.newest))
        return [Unask(id, back=True) for id in ids]

    def _drop(self, id: int) -> None:
        asking = self.pending.pop(id, None)
        if asking is None:
            return
        for key in asking.ask.keys:
            self.carried[key] -= 1
            if not self.carried[key]:
                del self.carried[key]
                if self.left.pop(key, 0) is None:
                    self.freed.append(key)

    def _settle(self, asking: Asking, answer: Answer) -> None:
        asking.answer = answer
        asking.wake(asking)
