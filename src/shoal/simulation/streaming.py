"""A simulated user's stream of numbered parts: a task puts them ahead of the answers, and is rerun.

Puts of a run that is over may still be under way when the next run begins, as in a real cluster.
Whichever process dies, the reader gets each part once and in order, where it skips those that came
before.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from shoal.scheduler.core.coordination.queue import SOME

if TYPE_CHECKING:
    from shoal.simulation.journal_user import JournalUser

__all__ = ["Streaming"]

_ROOM = 2  # parts in the queue
_AHEAD = 3  # puts under way
_RERUNS = 3


class Streaming:
    """One stream from its begin to its end.

    Parameters
    ----------
    user : JournalUser
        Whose stream it is; it has time until the user cleans up.
    """

    def __init__(self, user: JournalUser) -> None:
        self.user = user
        self.rng = Random(f"stream {user.client.address} {user.cluster.seed}")
        self.parts = self.rng.randint(2, 12)
        self.resumes = self.rng.random() < 0.5  # else a run begins with the first part
        self.name = f"stream {user.client.address}"
        self.done = False
        self._run = 0
        self._sent = self._came = self._noted = 0  # by this run; as the variable says
        self._flying = 0
        self._noting = False
        self._getting = False
        self._next = 0  # that the reader waits for
        self._go_on()

    def _go_on(self) -> None:
        if self.done or not self.user.client.alive:
            return
        if self._run < _RERUNS and self.rng.random() < 0.05:
            self._begin_again()
        while self._flying < _AHEAD and self._sent < self.parts and self.rng.random() < 0.8:
            self._put()
        if not self._getting and self.rng.random() < 0.5:
            self._getting = True
            self.user.ask("queue", "get", _ROOM, SOME, name=self.name, then=self._got)
        pause = self.rng.expovariate(1.0) * self.user.cluster.profile.horizon / 40
        self.user.client.later(pause, self._go_on)

    def _begin_again(self) -> None:
        self._run += 1
        self._flying = 0
        self._sent = self._came = self._noted if self.resumes else 0

    def _put(self) -> None:
        run = self._run
        self._sent += 1
        self._flying += 1

        def there(id: int, answer: Any) -> None:
            if run == self._run:
                self._flying -= 1
                self._came += 1
                self._note()

        part = b"%d" % (self._sent - 1)
        self.user.ask("queue", "put", _ROOM, part, name=self.name, then=there)

    def _note(self) -> None:
        if self._noting or not self.resumes or self.done:
            return
        self._noting = True
        number = self._came

        def noted(id: int, answer: Any) -> None:
            self._noting = False
            self._noted = number
            if self._came > number:
                self._note()

        self.user.ask("variable", "set", b"%d" % number, name=self.name, then=noted)

    def _got(self, id: int, answer: list[bytes]) -> None:
        self._getting = False
        assert answer, "a getter of all that there is got nothing"
        for item in answer:
            number = int(item)
            assert number <= self._next, f"part {number} came, and {self._next} did not"
            self._next += number == self._next
        if self._next == self.parts:
            self.done = True
            for kind in ("queue", "variable"):
                self.user.ask(kind, "retire", name=self.name, then=lambda id, answer: None)
