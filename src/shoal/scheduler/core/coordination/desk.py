"""The desk that all primitives share: who asked what, who holds what, and what was handed over.

A primitive is an object with a name. It answers an `Ask` at once or lets it wait, and is told when
nobody waits any more (`withdraw`), when somebody lost what was held (`release`), and when a value
did not arrive (`put_back`). What is common to all primitives is done here:

- an ask is answered once. `Unask` has the scheduler answer at once; what was answered before that
  and nobody looked at is taken back.
- what was handed over and is lost with its receiver (`Parcel`) is put back unless the client said
  that it arrived.
- keys in values are kept by a client that does not exist (`Desk.keeper`), counted here.
- a client that vanishes may come back for a moment (`holder_grace`) and claim what it held; one
  that is silent for longer than the lease timeout has lost it.

The object is made when a client first asks, so a cluster without primitives has none of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol

from shoal.scheduler.core.handlers.graph import data_task, want_key
from shoal.scheduler.core.speech import tell_client
from shoal.scheduler.core.state import ClientState
from shoal.scheduler.core.transitions.demand import drop_want
from shoal.scheduler.core.transitions.running import activate
from shoal.wire.messages import Answer

if TYPE_CHECKING:
    from shoal.scheduler.core.state import SchedulerState
    from shoal.wire.messages import Ask

__all__ = ["Asked", "Desk", "Operation", "Parcel", "Primitive", "Token"]

Token = tuple[str, int]
"""Who holds something: the client, and the number of the ask that it was the answer to."""

# Answers remembered per client, for asks that are repeated after a reconnection.
_REMEMBERED = 256


class Asked:
    """An ask on the desk."""

    __slots__ = ("args", "client", "id", "keys", "name", "place")

    def __init__(self, client: str, msg: Ask) -> None:
        self.client = client
        self.id = msg.id
        self.name = msg.name
        self.args = msg.args
        self.keys = msg.keys
        self.place: Primitive | None = None  # where it waits

    @property
    def token(self) -> Token:
        """What names it among the asks of all clients."""
        return self.client, self.id


class Primitive(Protocol):
    """A queue, a lock, ...: what the desk needs of it."""

    def withdraw(self, desk: Desk, asked: Asked) -> None:
        """Nobody waits for this any more."""

    def release(self, desk: Desk, token: Token) -> None:
        """Take away what is held."""

    def put_back(self, desk: Desk, items: Any) -> None:
        """These were handed over and did not arrive."""


class Parcel:
    """What an answer handed over, until its receiver says that it arrived."""

    __slots__ = ("items", "keys", "place")

    def __init__(self, place: Primitive | None, items: Any, keys: list[str]) -> None:
        self.place = place  # where it goes back to; None: nowhere
        self.items = items
        self.keys = keys


class Operation:
    """What an `Ask` can ask for: the function that does it, and the types of its arguments."""

    __slots__ = ("do", "types")

    def __init__(self, do: Callable[[Desk, Asked], None], *types: type) -> None:
        self.do = do
        self.types = types

    def fits(self, args: list[Any]) -> bool:
        """Whether these are arguments that the function can be called with."""
        return len(args) == len(self.types) and all(map(isinstance, args, self.types))


class Desk:
    """All coordination of one scheduler."""

    __slots__ = (
        "answered",
        "claims_until",
        "closed_semaphores",
        "gone",
        "held",
        "keeper",
        "kept",
        "parcels",
        "places",
        "s",
        "waiting",
    )

    def __init__(self, s: SchedulerState) -> None:
        self.s = s
        self.places: dict[tuple[str, str], Any] = {}  # (kind, name) -> the primitive
        self.waiting: dict[str, dict[int, Asked]] = {}  # by client
        self.parcels: dict[str, dict[int, Parcel]] = {}
        self.held: dict[str, dict[int, Primitive]] = {}
        self.answered: dict[str, deque[Answer]] = {}
        self.gone: dict[str, float] = {}  # clients that may come back, until when
        self.claims_until: float | None = None  # holders of before this scheduler are coming
        self.closed_semaphores: dict[str, None] = {}
        self.keeper = ClientState("coordination", s.now, real=False)
        self.kept: dict[str, int] = {}  # key -> how often it is in a value

    # -- asks and answers ----------------------------------------------------------

    def answer(self, asked: Asked, value: Any = None, keys: Iterable[str] = ()) -> None:
        """Answer an ask. The keys in the value are kept until they arrived."""
        self._say(asked, Answer(asked.id, value, "", list(keys)))

    def refuse(self, asked: Asked, error: str, text: str = "") -> None:
        """Answer that it cannot be done."""
        self._say(asked, Answer(asked.id, text, error))

    def _say(self, asked: Asked, answer: Answer) -> None:
        if asked.place is not None:
            self._forget_waiting(asked)
        client = self.s.clients.get(asked.client)
        if client is None:
            return
        told = self.answered.get(asked.client)
        if told is None:
            told = self.answered[asked.client] = deque(maxlen=_REMEMBERED)
        told.append(answer)
        tell_client(self.s, client, answer)

    def repeat(self, asked: Asked) -> bool:
        """Answer as before an ask that came again; return whether it was answered before."""
        for answer in self.answered.get(asked.client, ()):
            if answer.id == asked.id:
                tell_client(self.s, self.s.clients[asked.client], answer)
                return True
        return False

    def wait(self, asked: Asked, place: Primitive) -> None:
        """Let an ask wait; the primitive keeps it in its line."""
        asked.place = place
        self.waiting.setdefault(asked.client, {})[asked.id] = asked

    def withdraw(self, asked: Asked) -> None:
        """Take a waiting ask out of its line."""
        place = asked.place
        assert place is not None
        self._forget_waiting(asked)
        place.withdraw(self, asked)

    def _forget_waiting(self, asked: Asked) -> None:
        mine = self.waiting[asked.client]
        del mine[asked.id]
        if not mine:
            del self.waiting[asked.client]
        asked.place = None

    # -- what is held ----------------------------------------------------------------

    def hold(self, token: Token, place: Primitive) -> None:
        """A client holds something from now on."""
        self.held.setdefault(token[0], {})[token[1]] = place

    def let_go(self, token: Token) -> None:
        """A client does not hold something any more; the primitive knows already."""
        mine = self.held.get(token[0])
        if mine is not None and mine.pop(token[1], None) is not None and not mine:
            del self.held[token[0]]

    def take_away(self, token: Token) -> bool:
        """Release what a client holds; return whether it held it."""
        place = self.held.get(token[0], {}).get(token[1])
        if place is None:
            return False
        self.let_go(token)
        place.release(self, token)
        return True

    # -- what is on its way ------------------------------------------------------------

    def send(self, asked: Asked, value: Any, parcel: Parcel) -> None:
        """Answer with something that must not get lost; its keys are kept by now."""
        self.parcels.setdefault(asked.client, {})[asked.id] = parcel
        self.answer(asked, value, parcel.keys)

    def arrived(self, client: str, id: int) -> None:
        """A client has what it was answered."""
        parcel = self._open(client, id)
        if parcel is not None:
            self.unkeep(parcel.keys)

    def return_parcel(self, client: str, id: int) -> bool:
        """What a client was answered goes back; return whether there is such a thing."""
        parcel = self._open(client, id)
        if parcel is None:
            return False
        if parcel.place is None:
            self.unkeep(parcel.keys)
        else:
            parcel.place.put_back(self, parcel.items)
        return True

    def _open(self, client: str, id: int) -> Parcel | None:
        mine = self.parcels.get(client)
        if mine is None:
            return None
        parcel = mine.pop(id, None)
        if not mine:
            del self.parcels[client]
        return parcel

    # -- keys in values -----------------------------------------------------------------

    def keep(self, keys: Iterable[str]) -> None:
        """These keys are in a value: keep their results."""
        s = self.s
        for key in keys:
            self.kept[key] = self.kept.get(key, 0) + 1
            ts = data_task(s, key)
            want_key(s, self.keeper, ts)
            if ts.state == "released":
                activate(s, ts)

    def unkeep(self, keys: Iterable[str]) -> None:
        """A value with these keys is gone."""
        for key in keys:
            count = self.kept[key] - 1
            if count:
                self.kept[key] = count
                continue
            del self.kept[key]
            ts = self.s.tasks.get(key)
            if ts is not None:
                drop_want(self.s, self.keeper, ts)
