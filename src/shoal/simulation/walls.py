"""One-way walls between simulated processes, and the ways around them, as `comm.relay` has them.

A wall stands between two addresses from the beginning to the end, in one direction: who is on its
wrong side cannot ask the other anything. Everybody reaches the scheduler. Which way a process takes
is decided by the same `Routes` as in real ones; the scheduler passes questions on, and calls
workers that it cannot reach itself.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from shoal._base.routes import Routes
from shoal.wire.messages import CallBack

if TYPE_CHECKING:
    from shoal.simulation.network import Network, Process

__all__ = ["Walls"]

SCHEDULER = "scheduler"
_CALLED = 10.0  # seconds for a worker to call back

Answer = Callable[[Any], None]


class Walls:
    """Where walls stand, and what is asked around them.

    Parameters
    ----------
    network : Network
        Whose.
    seed : int
        Of the cluster.
    share : float
        Of the pairs that a wall is between.
    """

    def __init__(self, network: Network, seed: int, share: float) -> None:
        self.network = network
        self.seed = seed
        self.share = share
        self.around = 0  # questions that went around a wall
        self.called = 0  # and to how many of them a worker called back
        self._routes: WeakKeyDictionary[Process, Routes] = WeakKeyDictionary()
        self._calls: dict[str, tuple[Any, Answer]] = {}

    def between(self, one: str, other: str) -> bool:
        """Whether one address cannot begin anything with another."""
        if other == SCHEDULER:
            return False
        return Random(f"wall {self.seed} {one} {other}").random() < self.share

    def ask(self, owner: Process, target: str, question: Any, answer: Answer) -> None:
        """Ask by the way that leads to an address."""
        network = self.network
        if target == SCHEDULER:
            network.put(owner, target, question, answer, lambda: answer(None))
            return
        routes = self._routes.setdefault(owner, Routes())
        now = network.clock.now
        if not routes.straight(target, now):
            self._ask_around(owner, target, question, answer)
            return

        def reached(result: Any) -> None:
            routes.led_there(target)
            answer(result)

        def failed() -> None:
            self._ask_around(owner, target, question, around)

        def around(result: Any) -> None:
            if result is None:
                routes.forget(target)
            else:
                routes.led_around(target, network.clock.now)
            answer(result)

        if self.between(owner.address, target):
            network.after_a_pause(owner, failed)
        else:
            network.put(owner, target, question, reached, failed)

    def _ask_around(self, owner: Process, target: str, question: Any, answer: Answer) -> None:
        if owner.address == SCHEDULER:
            self._call(owner, target, question, answer)
            return
        self.around += 1
        passed = ("pass", target, question)
        self.network.put(owner, SCHEDULER, passed, answer, lambda: answer(None))

    # -- calls of the scheduler's -----------------------------------------------------

    def _call(self, scheduler: Any, target: str, question: Any, answer: Answer) -> None:
        end = scheduler.workers.get(target)
        if end is None:
            self.network.after_a_pause(scheduler, lambda: answer(None))
            return
        token = f"call-{len(self._calls)}-{self.network.clock.now}"
        self._calls[token] = question, answer
        end.send([CallBack(token)])
        self.network.clock.call_later(_CALLED, self.answered, token, None)

    def called_back(self, worker: Any, token: str) -> None:
        """A worker was called: it asks for the question, and brings the answer."""

        def got(question: Any) -> None:
            if question is not None:
                self.called += 1
                worker.asked(question, lambda result: bring((result,)))

        def bring(result: tuple[Any]) -> None:
            self.ask(worker, SCHEDULER, ("answered", token, *result), lambda _: None)

        self.ask(worker, SCHEDULER, ("called", token), got)

    def question(self, token: str) -> Any:
        """Return what is asked of the worker that calls back; None when nobody waits for it."""
        found = self._calls.get(token)
        return None if found is None else found[0]

    def answered(self, token: str, result: Any) -> None:
        """A worker brought its answer, or did not in time."""
        found = self._calls.pop(token, None)
        if found is not None:
            found[1](result)
