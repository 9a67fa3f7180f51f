"""Clients of a scripted cluster that use primitives: they ask, and remember what was answered."""

from __future__ import annotations

from typing import Any

from scheduler_harness import Cluster

from shoal.scheduler.core.coordination.queue import ALL
from shoal.wire import messages as m

__all__ = ["ALL", "Asking"]


class Asking(Cluster):
    """A cluster whose clients count their asks and collect the answers."""

    def __init__(self, *clients: str, **settings: Any) -> None:
        super().__init__(**settings)
        self.request = 0
        self.asks: dict[int, tuple[str, m.Ask]] = {}
        self.answers: dict[int, m.Answer] = {}
        for name in clients or ("a", "b", "c"):
            self.client(name)

    def handle(self, event: Any) -> Any:
        effects = super().handle(event)
        for messages in effects.to_clients.values():
            for message in messages:
                if type(message) is m.Answer:
                    assert message.id not in self.answers or message is self.answers[message.id]
                    self.answers[message.id] = message
        return effects

    def is_expected(self, message: Any) -> bool:
        return message in self.answers.values() or super().is_expected(message)

    def ask(
        self, client: str, kind: str, op: str, *args: Any, name: str = "x", keys: Any = ()
    ) -> int:
        """Ask, and return the number of the ask."""
        self.request += 1
        message = m.Ask(self.request, kind, name, op, list(args), list(keys))
        self.asks[self.request] = (client, message)
        self.say(client, message)
        return self.request

    def value(self, id: int) -> Any:
        """Return what was answered."""
        answer = self.answers[id]
        assert not answer.error, answer
        return answer.value

    def error(self, id: int) -> tuple[str, str]:
        """Return the error that was answered."""
        answer = self.answers[id]
        assert answer.error, answer
        return answer.error, answer.value

    def pending(self, id: int) -> bool:
        return id not in self.answers

    def unask(self, id: int, back: bool = False) -> None:
        self.say(self.asks[id][0], m.Unask(id, back))

    def took(self, *ids: int) -> None:
        self.say(self.asks[ids[0]][0], m.Took(list(ids)))

    # -- kinds --------------------------------------------------------------------

    def put(self, client: str, value: bytes, maxsize: int = 0, keys: Any = ()) -> int:
        return self.ask(client, "queue", "put", maxsize, value, keys=keys)

    def get(self, client: str, n: int = 1, maxsize: int = 0) -> int:
        return self.ask(client, "queue", "get", maxsize, n)

    def acquire(self, client: str, *names: str, needed: int = 0) -> int:
        return self.ask(client, "lock", "acquire", list(names) or ["x"], needed or len(names) or 1)

    def unlock(self, client: str, id: int) -> int:
        return self.ask(client, "lock", "release", id)

    def lease(self, client: str, max_leases: int = 2) -> int:
        return self.ask(client, "semaphore", "acquire", max_leases)

    @property
    def is_clean(self) -> bool:
        """Whether nothing of any primitive is left."""
        coordination = self.s.coordination
        tables = [
            coordination.waiting,
            coordination.held,
            coordination.unacked,
            coordination.kept,
            coordination.gone,
        ]
        places = {k: v for k, v in coordination.places.items() if k != ("lock", "") or v.by_name}
        return not any(tables) and not places and not coordination.retaining_client.wants
