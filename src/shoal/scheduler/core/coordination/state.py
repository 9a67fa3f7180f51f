"""The state that all primitives share: who waits for what, who holds what, what was handed over.

A primitive is an object with a name. It answers an `Ask` at once or lets it wait, and is told when
nobody waits any more (`withdraw`), when somebody lost what was held (`release`), and when a value
did not arrive (`put_back`). The common work of all primitives is done here:

- an ask is answered once. `Unask` has the scheduler answer at once; what was answered before that
  and nobody looked at is taken back.
- what was handed over and is lost with its receiver (`UnackedDelivery`) is put back unless the
  client said
  that it arrived.
- keys in values are kept by a client that does not exist (`retaining_client`), counted here.
- a client that vanishes may come back for a moment (`holder_grace`) and claim what it held; one
  that is silent for longer than the lease timeout has lost it.

The object is made when a client first asks, so a cluster without primitives has none of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol

from shoal.scheduler.core.handlers.graph import data_task, want_key
from shoal.scheduler.core.journal import recorder as r
from shoal.scheduler.core.journal.recipes import record_task
from shoal.scheduler.core.outgoing import tell_client
from shoal.scheduler.core.state import ClientState
from shoal.scheduler.core.transitions.demand import drop_want
from shoal.scheduler.core.transitions.processing import activate
from shoal.wire.messages import Answer

if TYPE_CHECKING:
    from shoal.scheduler.core.journal.recorder import Recorder
    from shoal.scheduler.core.state import SchedulerState
    from shoal.wire.messages import Ask

__all__ = [
    "CoordinationState",
    "Operation",
    "PendingRequest",
    "Primitive",
    "SemaphoreCounts",
    "Token",
    "UnackedDelivery",
    "coordination_of",
]

Token = tuple[str, int]
"""A holder: the client, and the number of the ask that the thing was the answer to."""

# Answers remembered per client, for asks that are repeated after a reconnection.
_REMEMBERED = 256
# Names remembered that are never used again, for requests that come too late.
_RETIRED = 10_000


class PendingRequest:
    """An ask on the coordination."""

    __slots__ = ("args", "client", "id", "keys", "lasting", "name", "place")

    def __init__(self, client: str, msg: Ask, lasting: bool = False) -> None:
        self.client = client
        self.id = msg.id
        self.name = msg.name
        self.args = msg.args
        self.keys = msg.keys
        self.lasting = lasting  # it changes something: it is not done again if it is asked again
        self.place: Primitive | None = None  # where it waits

    @property
    def token(self) -> Token:
        """Its name among the asks of all clients."""
        return self.client, self.id


class Primitive(Protocol):
    """A queue, a lock, ...: what the coordination needs of it."""

    def withdraw(self, coordination: CoordinationState, request: PendingRequest) -> None:
        """Forget a request whose caller waits no more."""

    def release(self, coordination: CoordinationState, token: Token) -> None:
        """Take away what is held."""

    def put_back(self, coordination: CoordinationState, items: Any) -> None:
        """These were handed over and did not arrive."""


class UnackedDelivery:
    """The items that an answer handed over, until its receiver says that it arrived."""

    __slots__ = ("items", "keys", "place", "queue")

    def __init__(
        self, place: Primitive | None, items: Any, keys: list[str], queue: str = ""
    ) -> None:
        self.place = place  # where it goes back to; None: nowhere
        self.items = items  # of a queue, of this name; None: a copy of what is there
        self.keys = keys
        self.queue = queue


class Operation:
    """An operation of an `Ask`: the function that does it, and the types of its arguments.

    An operation that is `lasting` changes something that outlives the scheduler, where there is a
    journal.
    """

    __slots__ = ("do", "lasting", "types")

    def __init__(
        self,
        do: Callable[[CoordinationState, PendingRequest], None],
        *types: type,
        lasting: bool = False,
    ) -> None:
        self.do = do
        self.types = types
        self.lasting = lasting

    def fits(self, args: list[Any]) -> bool:
        """Whether these are arguments that the function can be called with."""
        return len(args) == len(self.types) and all(map(isinstance, args, self.types))


class SemaphoreCounts:
    """The counts of a name, also while no client has a lease: for observers of the cluster."""

    __slots__ = ("acquired", "average_wait", "max_leases", "released")

    def __init__(self, max_leases: int) -> None:
        self.max_leases = max_leases
        self.acquired = 0
        self.released = 0
        self.average_wait = 0.0  # seconds from request to lease


class CoordinationState:
    """All coordination of one scheduler."""

    __slots__ = (
        "answered",
        "claims_until",
        "closed_semaphores",
        "gone",
        "held",
        "items_so_far",
        "kept",
        "leases_until",
        "places",
        "recorded",
        "recorder",
        "retaining_client",
        "retired",
        "s",
        "semaphore_counts",
        "unacked",
        "waiting",
    )

    def __init__(self, s: SchedulerState) -> None:
        self.s = s
        self.recorder: Recorder | None = s.recorder
        self.items_so_far = 0  # in all queues
        self.places: dict[tuple[str, str], Any] = {}  # (kind, name) -> the primitive
        self.waiting: dict[str, dict[int, PendingRequest]] = {}  # by client
        self.unacked: dict[str, dict[int, UnackedDelivery]] = {}
        self.held: dict[str, dict[int, Primitive]] = {}
        self.answered: dict[str, deque[Answer]] = {}
        # Of these, the answers to what must not be done twice, where there is a journal.
        self.recorded: dict[str, dict[int, Answer]] = {}
        self.gone: dict[str, float] = {}  # clients that may come back, until when
        self.leases_until: float | None = None  # holders that a journal knows may come until then
        self.claims_until: float | None = None  # holders of before this scheduler are coming
        self.closed_semaphores: dict[str, None] = {}
        self.retired: dict[tuple[str, str], None] = {}  # see `retire`
        self.semaphore_counts: dict[str, SemaphoreCounts] = {}  # see `semaphore`
        self.retaining_client = ClientState("coordination", s.now, real=False)
        self.kept: dict[str, int] = {}  # key -> how often it is in a value

    # -- asks and answers ----------------------------------------------------------

    def answer(self, request: PendingRequest, value: Any = None, keys: Iterable[str] = ()) -> None:
        """Answer an ask. The keys in the value are kept until they arrived."""
        self._say(request, Answer(request.id, value, "", list(keys)))

    def refuse(self, request: PendingRequest, error: str, text: str = "") -> None:
        """Answer that it cannot be done."""
        self._say(request, Answer(request.id, text, error))

    def _say(self, request: PendingRequest, answer: Answer) -> None:
        if request.place is not None:
            self._forget_waiting(request)
        # Also to one whose connection broke just now: it may come back, and ask again.
        self.remember_answer(request.client, answer, request.lasting)
        client = self.s.clients.get(request.client)
        if client is not None:
            tell_client(self.s, client, answer)

    def remember_answer(self, client: str, answer: Answer, lasting: bool = True) -> None:
        """Be ready to answer like this again, also after the death of this scheduler."""
        told = self.answered.get(client)
        if told is None:
            told = self.answered[client] = deque(maxlen=_REMEMBERED)
        told.append(answer)
        if not lasting or self.recorder is None:
            return
        mine = self.recorded.setdefault(client, {})
        mine[answer.id] = answer
        self.recorder.put(r.ANSWER, (client, answer.id), (answer.value, answer.error))
        if len(mine) > _REMEMBERED:
            oldest = next(iter(mine))
            del mine[oldest]
            self.recorder.drop(r.ANSWER, (client, oldest))

    def forget_answers(self, client: str) -> None:
        """A client will not ask again."""
        self.answered.pop(client, None)
        for id in self.recorded.pop(client, ()):
            if self.recorder is not None:
                self.recorder.drop(r.ANSWER, (client, id))

    def repeat(self, request: PendingRequest) -> bool:
        """Answer as before an ask that came again; return whether it was answered before."""
        for answer in self.answered.get(request.client, ()):
            if answer.id == request.id:
                tell_client(self.s, self.s.clients[request.client], answer)
                return True
        return False

    def wait(self, request: PendingRequest, place: Primitive) -> None:
        """Let an ask wait; the primitive keeps it in its line."""
        request.place = place
        self.waiting.setdefault(request.client, {})[request.id] = request

    def withdraw(self, request: PendingRequest) -> None:
        """Take a waiting ask out of its line."""
        place = request.place
        assert place is not None
        self._forget_waiting(request)
        place.withdraw(self, request)

    def _forget_waiting(self, request: PendingRequest) -> None:
        mine = self.waiting[request.client]
        del mine[request.id]
        if not mine:
            del self.waiting[request.client]
        request.place = None

    def retire(self, kind: str, name: str) -> None:
        """Let nobody make this place again: a task that is being stopped may still put into it."""
        self.retired[kind, name] = None
        if len(self.retired) > _RETIRED:
            del self.retired[next(iter(self.retired))]

    def is_retired(self, request: PendingRequest, kind: str) -> bool:
        """Refuse a request for a place that was retired; return whether it was."""
        if (kind, request.name) not in self.retired:
            return False
        self.refuse(request, "RuntimeError", f"the {kind} {request.name!r} was closed")
        return True

    # -- holders ---------------------------------------------------------------------

    def hold(self, token: Token, place: Primitive) -> None:
        """A client holds something from now on."""
        self.held.setdefault(token[0], {})[token[1]] = place

    def can_hold(self, token: Token, place: Primitive) -> bool:
        """Whether a number that a client names stands for nothing, or for something held there."""
        client, id = token
        if id in self.waiting.get(client, ()):
            return False
        return self.held.get(client, {}).get(id, place) is place

    def let_go(self, token: Token) -> None:
        """A client does not hold something any more; the primitive knows already."""
        if self.recorder is not None:
            self.recorder.drop(r.HELD, token)
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

    # -- deliveries --------------------------------------------------------------------

    def send(self, request: PendingRequest, value: Any, delivery: UnackedDelivery) -> None:
        """Answer with something that must not get lost; its keys are kept by now."""
        self.unacked.setdefault(request.client, {})[request.id] = delivery
        if delivery.items is not None:
            self.record_delivery(request.token, delivery)
        self.answer(request, value, delivery.keys)

    def record_delivery(self, token: Token, delivery: UnackedDelivery) -> None:
        """Items of a queue are on their way, or go somewhere else than before if they come back."""
        if self.recorder is not None:
            goes_to = None if delivery.place is None else delivery.queue
            numbers = [item.number for item in delivery.items]
            self.recorder.put(r.DELIVERY, token, (goes_to, numbers))

    def arrived(self, client: str, id: int) -> None:
        """A client has what it was answered."""
        delivery = self._open(client, id)
        if delivery is not None:
            self._end(delivery)

    def _end(self, delivery: UnackedDelivery) -> None:
        """Forget a delivery; its items belong to no client here any more."""
        self.unkeep(delivery.keys)
        if self.recorder is not None:
            for item in delivery.items or ():
                self.recorder.drop(r.ITEM, item.number)

    def return_delivery(self, client: str, id: int) -> bool:
        """Put back a client's delivery; return whether there is such a thing."""
        delivery = self._open(client, id)
        if delivery is None:
            return False
        if delivery.place is None:
            self._end(delivery)
        else:
            delivery.place.put_back(self, delivery.items)
        return True

    def _open(self, client: str, id: int) -> UnackedDelivery | None:
        mine = self.unacked.get(client)
        if mine is None:
            return None
        delivery = mine.pop(id, None)
        if not mine:
            del self.unacked[client]
        if delivery is not None and delivery.items is not None and self.recorder is not None:
            self.recorder.drop(r.DELIVERY, (client, id))
        return delivery

    # -- keys in values -----------------------------------------------------------------

    def keep(self, keys: Iterable[str]) -> None:
        """These keys are in a value: keep their results."""
        s = self.s
        for key in keys:
            self.kept[key] = self.kept.get(key, 0) + 1
            ts = data_task(s, key)
            want_key(s, self.retaining_client, ts)
            if self.recorder is not None:
                record_task(self.recorder, ts)
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
                drop_want(self.s, self.retaining_client, ts)


def coordination_of(s: SchedulerState) -> CoordinationState | None:
    """Return the coordination of a scheduler, None where no client has used a primitive yet."""
    found = s.coordination
    assert found is None or isinstance(found, CoordinationState)
    return found
