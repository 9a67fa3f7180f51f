"""The common part of simulated users of primitives: they act at random moments, and ask.

The requests, and their right answers, are in the subclasses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import TYPE_CHECKING, Any

from shoal.client.core import events as e
from shoal.client.core.asks import Asking
from shoal.wire.messages import Answer, Ask

if TYPE_CHECKING:
    from shoal.simulation.simulated_client import SimulatedClient
    from shoal.simulation.world import World

__all__ = ["AskingUser"]


class AskingUser:
    """Acts a number of times, then cleans up.

    Parameters
    ----------
    cluster : World
        The cluster.
    client : SimulatedClient
        The user's client.
    subject : str
        The subject of the user; its draws are its own.
    actions : int
        How often it acts.
    pace : float
        How often it acts before the faults end, about.
    name : str
        The name of the primitives that it asks, where none is given.
    first : int
        The number before that of the first ask.
    """

    def __init__(
        self,
        cluster: World,
        client: SimulatedClient,
        subject: str,
        actions: int,
        pace: float,
        name: str,
        first: int = 0,
    ) -> None:
        self.cluster = cluster
        self.client = client
        self.rng = Random(f"{subject} {client.address} {cluster.seed}")
        self.left = actions
        self.asks = first
        self.pending: dict[int, Asking] = {}
        self.holds: dict[int, str] = {}  # by ask: the name of what it holds
        self._pace = pace
        self._name = name
        self._acts: Sequence[Callable[[], None]] = ()  # one is drawn at a time
        self._cleaned = False
        client.later(self._pause(), self._act)

    @property
    def done(self) -> bool:
        """Whether this user has nothing more in mind, and has left nothing behind."""
        return not self.client.alive or (self._cleaned and not self.pending)

    def _pause(self) -> float:
        return self.rng.expovariate(1.0) * self.cluster.profile.horizon / self._pace

    def _act(self) -> None:
        if not self.left:
            self._clean()
            return
        self.left -= 1
        self.rng.choice(self._acts)()
        self.client.later(self._pause(), self._act)

    def _clean(self) -> None:
        """Take away what was made, and set `_cleaned`."""
        raise NotImplementedError

    def _judge_error(self, ask: Ask, answer: Answer) -> None:
        """Raise `AssertionError` where an ask may not fail so."""
        raise NotImplementedError

    def ask(
        self,
        kind: str,
        op: str,
        *args: Any,
        name: str | None = None,
        keys: list[str] | None = None,
        then: Callable[[int, Any], None] | None = None,
        seconds: float | None = None,
        claim: tuple[str, list[Any]] | None = None,
        gives_back: int = 0,
    ) -> None:
        """Ask; `then` hears of the ask's number and the answer, unless it is an error.

        After `seconds`, if given, the user gives up.
        """
        self.asks += 1
        id = self.asks
        takes = op == "get"

        def wake(asking: Asking) -> None:
            self.client.later(0.0, answered, asking)  # not while the core is at work

        def answered(asking: Asking) -> None:
            if self.pending.pop(id, None) is None:
                return  # its time was over
            answer = asking.answer
            assert answer is not None
            if answer.error:
                self._judge_error(asking.ask, answer)
                return
            for key in answer.keys:
                self.client.want(key, promised=True)
            if takes:
                self.client.handle(e.TookAnswer(asking))
            if then is not None:
                then(id, answer.value)

        name = self._name if name is None else name
        ask = Ask(id, kind, name, op, list(args), keys or [])
        asking = self.pending[id] = Asking(ask, wake, claim, gives_back, takes)
        self.client.handle(e.RequestMade(asking))
        if seconds is not None:
            self.client.later(seconds, self._over, id)

    def _over(self, id: int) -> None:
        """The time of an ask is over; sometimes its user is interrupted, too."""
        asking = self.pending.get(id)
        if asking is None:
            return
        back = self.rng.random() < 0.3
        if back:
            del self.pending[id]
        self.client.handle(e.Unasked(asking, back))
