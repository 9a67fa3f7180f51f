"""A virtual network: ordered connections with delays, questions with answers, and all that fails.

Messages of one direction of a connection keep their order; nothing else does. A connection that
breaks loses what was sent after the break, and each end hears of it in its own time. An address
that is cut off from the others neither sends nor receives until it is back: what was sent arrives
then.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from shoal.wire import messages as m
from shoal.wire.codec import BatchCodec

if TYPE_CHECKING:
    from random import Random

    from shoal.simulation.clock import Clock
    from shoal.simulation.trace import Trace
    from shoal.simulation.walls import Walls

__all__ = ["End", "Network", "Process"]


class Process(Protocol):
    """The methods that a process must offer to take part."""

    address: str
    alive: bool

    def accepted(self, end: End, edge: str) -> None: ...
    def received(self, end: End, messages: list[Any]) -> None: ...
    def lost(self, end: End, reason: str) -> None: ...
    def asked(self, question: Any, reply: Callable[[Any], None]) -> None: ...


class End:
    """One end of a connection; `owner` is the process that has it."""

    __slots__ = ("clear_at", "closed", "codec", "network", "other", "owner")

    def __init__(self, network: Network, owner: Process, codec: BatchCodec[Any]) -> None:
        self.network = network
        self.owner = owner
        self.codec = codec  # of what is sent from here
        self.closed = False  # nothing arrives here any more
        self.clear_at = 0.0  # when all that was sent from here has arrived
        self.other: End = self

    def send(self, messages: list[Any]) -> None:
        """Send a batch. It is lost when the other end is gone."""
        if not self.closed and messages:
            self.network.carry(self, messages)

    def close(self) -> None:
        """Close after what was sent; the owner hears nothing more."""
        if not self.closed:
            self.closed = True
            self.network.hang_up(self, "the other side closed")


class Network:
    """All connections.

    Parameters
    ----------
    clock : Clock
        Time.
    rng : Random
        Where delays come from.
    trace : Trace
        Hears of every message that arrives.
    latency : float
        Mean delay of a message, in seconds.
    encoded : bool
        Whether messages are encoded and decoded on the way, as on a socket; else they are passed by
        reference, as in one process.
    """

    def __init__(
        self, clock: Clock, rng: Random, trace: Trace, latency: float, encoded: bool
    ) -> None:
        self.clock = clock
        self.rng = rng
        self.trace = trace
        self.latency = latency
        self.encoded = encoded
        self.listeners: dict[str, Process] = {}
        self.seen: Counter[str] = Counter()  # messages that arrived, by type
        self.refusals = 0.0  # the share of questions that break on the way
        self._codecs: dict[str, tuple[BatchCodec[Any], BatchCodec[Any]]] = {
            "worker": (BatchCodec(m.WorkerToScheduler), BatchCodec(m.SchedulerToWorker)),
            "client": (BatchCodec(m.ClientToScheduler), BatchCodec(m.SchedulerToClient)),
            "pubsub": (BatchCodec(m.Published), BatchCodec(m.Published)),
        }
        self._ends: dict[Process, dict[End, None]] = {}
        self._questions: dict[Process, dict[int, Callable[[Any], None]]] = {}
        self._serial = 0
        self._cut_off: dict[str, float] = {}
        self.walls: Walls | None = None  # that stand for good
        self._spike = (0.0, 0.0)  # until when, and how many times slower

    # -- faults ------------------------------------------------------------------

    def cut_off(self, address: str, seconds: float) -> None:
        """Let an address not be heard of for a while."""
        self._cut_off[address] = self.clock.now + seconds

    def slow_down(self, seconds: float, times: float) -> None:
        """Let all messages take longer for a while."""
        self._spike = (self.clock.now + seconds, times)

    def is_cut_off(self, address: str) -> bool:
        """Whether an address is not heard of at present."""
        return self._cut_off.get(address, 0.0) > self.clock.now

    def heal(self) -> None:
        """Let nothing fail from now on."""
        self._cut_off.clear()
        self._spike = (0.0, 0.0)
        self.refusals = 0.0

    def ends_of(self, process: Process) -> list[End]:
        """Return the open ends of a process."""
        return [end for end in self._ends.get(process, ()) if not end.closed]

    def sever(self, end: End) -> None:
        """Break a connection; both ends hear of it, sooner or later."""
        for side in (end, end.other):
            if not side.closed:
                self.clock.call_later(
                    self._delay(side, side.other) * 3, self._lose, side, "it broke"
                )
        # Messages that are sent from now on arrive after the ends have closed.
        end.clear_at = end.other.clear_at = float("inf")

    def died(self, process: Process) -> None:
        """A process is gone: its connections break, its questions and answers are never heard."""
        if self.listeners.get(process.address) is process:
            del self.listeners[process.address]
        for end in self._ends.pop(process, {}):
            if not end.closed:
                end.closed = True
                self.hang_up(end, "its process is gone")
        for answer in self._questions.pop(process, {}).values():
            self.clock.call_later(self._pause(), answer, None)

    # -- connections ---------------------------------------------------------------

    def dial(
        self, owner: Process, target: str, edge: str, ready: Callable[[End | None], None]
    ) -> None:
        """Connect to an address; `ready` is called with the new end, or None if nobody answers."""
        self.clock.call_later(self._pause(), self._connect, owner, target, edge, ready)

    def _connect(
        self, owner: Process, target: str, edge: str, ready: Callable[[End | None], None]
    ) -> None:
        if not owner.alive:
            return
        listener = self.listeners.get(target)
        if listener is None or self.is_cut_off(target) or self.is_cut_off(owner.address):
            ready(None)
            return
        there, back = self._codecs[edge]
        near, far = End(self, owner, there), End(self, listener, back)
        near.other, far.other = far, near
        self._ends.setdefault(owner, {})[near] = None
        self._ends.setdefault(listener, {})[far] = None
        listener.accepted(far, edge)
        ready(near)

    def carry(self, end: End, messages: list[Any]) -> None:
        """Bring messages to the other end."""
        if end.clear_at == float("inf"):
            return
        end.clear_at = max(end.clear_at, self.clock.now + self._delay(end, end.other))
        frames = end.codec.encode(messages) if self.encoded else None
        self.clock.call_at(end.clear_at, self._arrive, end, messages, frames)

    def _arrive(self, end: End, messages: list[Any], frames: Any) -> None:
        other = end.other
        if other.closed:
            return
        self.trace.messages(self.clock.now, end.owner.address, other.owner.address, messages)
        for message in messages:
            self.seen[type(message).__name__] += 1
        other.owner.received(other, messages if frames is None else end.codec.decode(frames))

    def hang_up(self, end: End, reason: str) -> None:
        """Let the other end hear that this one is closed, after all that was sent."""
        self._ends.get(end.owner, {}).pop(end, None)
        if end.clear_at == float("inf"):
            return  # it broke before, and the other end hears of that
        end.clear_at = max(end.clear_at, self.clock.now + self._delay(end, end.other))
        self.clock.call_at(end.clear_at, self._lose, end.other, reason)

    def _lose(self, end: End, reason: str) -> None:
        if end.closed:
            return
        end.closed = True
        self._ends.get(end.owner, {}).pop(end, None)
        self.trace.write(
            self.clock.now, f"{end.owner.address} lost {end.other.owner.address}: {reason}"
        )
        end.owner.lost(end, reason)

    # -- questions -----------------------------------------------------------------

    def ask(
        self, owner: Process, target: str, question: Any, answer: Callable[[Any], None]
    ) -> None:
        """Ask an address something; `answer` is called once, with None when it failed."""

        def heard(result: Any) -> None:
            if owner.alive:
                answer(result)

        if self.walls is not None:
            self.walls.ask(owner, target, question, heard)
        else:
            self.put(owner, target, question, heard, lambda: heard(None))

    def put(
        self,
        owner: Process,
        target: str,
        question: Any,
        heard: Callable[[Any], None],
        unreachable: Callable[[], None],
    ) -> None:
        """Ask where no wall is; `unreachable` is called where nobody can be asked."""
        self.clock.call_later(self._pause(), self._put, owner, target, question, heard, unreachable)

    def after_a_pause(self, owner: Process, function: Callable[[], None]) -> None:
        """Call something a moment later, unless the process has ended by then."""
        self.clock.call_later(self._pause(), lambda: function() if owner.alive else None)

    def _put(
        self,
        owner: Process,
        target: str,
        question: Any,
        heard: Callable[[Any], None],
        unreachable: Callable[[], None],
    ) -> None:
        listener = self.listeners.get(target)
        broken = self.refusals and self.rng.random() < self.refusals
        if listener is None or self.is_cut_off(target) or self.is_cut_off(owner.address):
            self.after_a_pause(owner, unreachable)
            return
        self._serial += 1
        number = self._serial
        self._questions.setdefault(listener, {})[number] = heard

        def reply(result: Any) -> None:
            waiting = self._questions.get(listener)
            if waiting is not None and waiting.pop(number, None) is not None:
                self.clock.call_later(self._pause(), heard, None if broken else result)

        listener.asked(question, reply)

    # -- delays --------------------------------------------------------------------

    def _pause(self) -> float:
        delay = self.latency * (0.2 + self.rng.expovariate(1.25))
        until, times = self._spike
        return delay * times if self.clock.now < until else delay

    def _delay(self, end: End, other: End) -> float:
        delay = self._pause()
        if self._cut_off:
            now = self.clock.now
            back = max(
                self._cut_off.get(end.owner.address, 0.0),
                self._cut_off.get(other.owner.address, 0.0),
            )
            if back > now:
                return back - now + delay
        return delay
