"""Graphs that another thread still lowers: their futures are there, and their tasks are to come.

Events that depend on such tasks wait here for their turn; all other events go past::

    open <-> held up --> closed
      └───────────────────^

An open graph's parts are taken in as they come. A graph that depends on another one is held up: its
parts wait, as everything does that depends on a graph, until the other one is closed. It is closed
when all was told, when the rest could not be lowered, or when everything is cancelled.

Here is only the order; the machine carries the events out.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import TypeAlias

from shoal.client.core.events import (
    CancelRequested,
    Event,
    FireRequested,
    GraphAnnounced,
    GraphComplete,
    GraphPart,
    Released,
    RequestMade,
    RetryRequested,
    Submitted,
    Unasked,
)
from shoal.client.core.state import CLOSED, HELD_UP, OPEN, PENDING, Failure, PendingGraph, Record

__all__ = ["SubmissionOrder"]

Why: TypeAlias = Failure | str
"""Why a record ends before the scheduler heard of it: an error, or the text of a cancellation."""

OfKeys: TypeAlias = Released | CancelRequested | RetryRequested | FireRequested

_UNWANTED = "the graph that it is part of is not wanted any more"


class SubmissionOrder:
    """Which events may be carried out, and which wait.

    Parameters
    ----------
    carry_out : callable
        Called with each event whose turn it is.
    refuse : callable
        Called with each record that ends before its turn, and with the reason.

    Attributes
    ----------
    graphs : dict
        The graphs that are not closed. While there is none, no event has to be looked at.
    expected : dict
        Keys that are to come, or that an event that waits defines or acts on; each with the graph
        that it waits for. Events about these keys wait.
    gone : dict
        Keys that were cancelled, or could not be lowered, while there are graphs; with the reason.
        A record that is told later and needs one of these ends in the same way.
    """

    def __init__(
        self, carry_out: Callable[[Event], None], refuse: Callable[[Record, Why], None]
    ) -> None:
        self.graphs: dict[PendingGraph, None] = {}
        self.expected: dict[str, PendingGraph] = {}
        self.gone: dict[str, Why] = {}
        self._needed: dict[str, PendingGraph] = {}  # inputs of what waits: they must not go before
        self._waiting: list[Event] = []
        self._replaying = 0
        self._carry_out = carry_out
        self._refuse = refuse

    def announce(self, event: GraphAnnounced) -> None:
        """From here on, the keys of a graph are expected."""
        graph = event.graph
        self.graphs[graph] = None
        self.expected.update(dict.fromkeys(graph.records, graph))

    def take(self, event: Event) -> None:
        """Carry an event out, or have it wait for its turn."""
        if isinstance(event, Submitted):
            self._take_submitted(event)
        elif isinstance(event, OfKeys):
            self._take_keys(event)
        elif isinstance(event, RequestMade):
            self._take_request(event)
        elif isinstance(event, Unasked):
            self._drop_request(event)
            self._carry_out(event)
        elif isinstance(event, GraphPart):
            self.take_part(event)
        elif isinstance(event, GraphComplete):
            self.complete(event)
        else:
            self._carry_out(event)

    def take_part(self, event: GraphPart) -> None:
        """Tasks of a graph were lowered."""
        graph = event.graph
        if graph.state == CLOSED:
            self._refuse_all(event.records, _UNWANTED)
            self._forget_causes()
            return
        if graph.state == OPEN and self._cause_of_all(event.records, graph) is not None:
            graph.state = HELD_UP
        if graph.state == HELD_UP:
            self._wait(event)
            self._mark(event.records, graph)
            return
        own = graph.records
        # A future that was cancelled before its task was told.
        records = [r for r in event.records if r.status == PENDING or own.get(r.key) is not r]
        records = self._without_lost_causes(records)
        for record in records:
            if graph.untold.get(record.key) is record:
                del graph.untold[record.key]
        self._carry_out(Submitted(records))

    def complete(self, event: GraphComplete) -> None:
        """All of a graph was told, or nothing more will be: who waited for it goes on, or fails."""
        graph = event.graph
        if graph.state == HELD_UP:
            self._wait(event)
        elif graph.state == OPEN:
            self._close(graph, event.failure or _UNWANTED)

    def end(self, reason: str) -> None:
        """Close all graphs; what is to come of them, and what waits, is cancelled."""
        graphs, self.graphs = self.graphs, {}
        waiting, self._waiting = self._waiting, []
        self.expected.clear()
        self._needed.clear()
        for graph in graphs:
            graph.state, graph.stopped = CLOSED, True
            self._refuse_all(graph.untold.values(), reason)
        for event in waiting:
            if isinstance(event, Submitted | GraphPart):
                self._refuse_all(event.records, reason)
            elif isinstance(event, RequestMade):
                self._carry_out(event)  # it is answered
        self._forget_causes()

    # -- waiting events ---------------------------------------------------------------

    def _take_submitted(self, event: Submitted) -> None:
        records = self._without_lost_causes(event.records)
        if not all(record.wanted for record in records):
            # A graph: what is an input only must come together with what needs it.
            cause = self._cause_of_all(records, None)
            if cause is None:
                self._carry_out(Submitted(records))
            else:
                self._wait(Submitted(records))
                self._mark(records, cause)
            return
        going: list[Record] = []
        held: list[Record] = []
        for record in records:
            cause = self._cause(record, None)
            if cause is None:
                going.append(record)
            else:
                held.append(record)
                self._mark([record], cause)
        if held:
            self._wait(Submitted(held))
        if going:
            self._carry_out(Submitted(going))

    def _take_keys(self, event: OfKeys) -> None:
        expected, needed = self.expected, self._needed
        keys = event.keys
        held = [key for key in keys if key in expected or key in needed]
        if not held:
            self._carry_out(event)
            return
        if isinstance(event, Released):
            for key in held:
                if key in expected and key not in needed:
                    self._drop(expected[key], key)
            going = [key for key in keys if key not in expected and key not in needed]
            event = Released(held)
        else:
            going = []
            if isinstance(event, CancelRequested):
                for key in held:
                    self._cancel(key, event.reason)
        self._wait(event)
        cause = expected.get(held[0]) or needed[held[0]]
        for key in event.keys:
            expected.setdefault(key, cause)
        if going:
            self._carry_out(Released(going))

    def _take_request(self, event: RequestMade) -> None:
        """Take a request with a key in a value: the scheduler is to know the key first."""
        keys = event.asking.ask.keys
        cause = next((self.expected[key] for key in keys if key in self.expected), None)
        if cause is None:
            self._carry_out(event)
            return
        self._wait(event)
        for key in keys:
            self._needed.setdefault(key, cause)

    def _drop_request(self, event: Unasked) -> None:
        """Forget a request that waits here, as its caller waits for no answer any more."""
        self._waiting = [
            one
            for one in self._waiting
            if not (isinstance(one, RequestMade) and one.asking is event.asking)
        ]

    def _drop(self, graph: PendingGraph, key: str) -> None:
        """Note that a key of a graph is not wanted any more; a graph with none left is not lowered.

        As long as others of its keys are wanted, this one may be their input.
        """
        if key in graph.records:
            graph.dropped.add(key)
            graph.stopped = len(graph.dropped) == len(graph.records)

    def _cancel(self, key: str, reason: str) -> None:
        """Cancel a key at once where the scheduler was not told of it."""
        graph = self.expected.get(key)
        if graph is None:
            return
        record = graph.untold.pop(key, None)
        if record is not None:
            self._refuse_all([record], reason)
        self._drop(graph, key)

    def _wait(self, event: Event) -> None:
        self._waiting.append(event)

    def _mark(self, records: Iterable[Record], cause: PendingGraph) -> None:
        """Have dependents of these records wait as well, and their inputs stay until then."""
        for record in records:
            self.expected.setdefault(record.key, cause)
            for dep in record.deps:
                self._needed.setdefault(dep, cause)

    def _cause(self, record: Record, own: PendingGraph | None) -> PendingGraph | None:
        """Return the graph that a record waits for, other than its own."""
        expected = self.expected
        mentioned = () if record.extras is None else record.extras.mentioned
        for key in (record.key, *record.deps, *mentioned):
            graph = expected.get(key)
            if graph is not None and graph is not own:
                return graph
        return None

    def _cause_of_all(
        self, records: Iterable[Record], own: PendingGraph | None
    ) -> PendingGraph | None:
        causes = (self._cause(record, own) for record in records)
        return next((cause for cause in causes if cause is not None), None)

    # -- the end of a graph ------------------------------------------------------------

    def _close(self, graph: PendingGraph, why: Why) -> None:
        graph.state = CLOSED
        del self.graphs[graph]
        self._refuse_all(graph.untold.values(), why, graph.dropped)
        waiting, self._waiting = self._waiting, []
        self._needed.clear()
        self.expected.clear()
        for other in self.graphs:
            self.expected.update(dict.fromkeys(other.records, other))
            other.state = OPEN  # it is held up again where its parts still wait for another
        self._replaying += 1
        for event in waiting:
            self.take(event)
        self._replaying -= 1
        self._forget_causes()

    @property
    def at_work(self) -> bool:
        """Whether there are graphs, or something that waited for them goes on just now."""
        return bool(self.graphs or self._replaying)

    def _forget_causes(self) -> None:
        if not self.at_work:
            self.gone.clear()

    def _without_lost_causes(self, records: list[Record]) -> list[Record]:
        """Return records without those that need what is gone; these end in the same way."""
        gone = self.gone
        if not gone:
            return records
        kept: list[Record] = []
        for record in records:
            why = next((gone[dep] for dep in record.deps if dep in gone), None)
            if why is None:
                kept.append(record)
                gone.pop(record.key, None)  # it was asked for anew
            else:
                self._refuse_all([record], why)
        return kept

    def _refuse_all(
        self, records: Iterable[Record], why: Why, unwanted: Collection[str] = ()
    ) -> None:
        for record in records:
            if record.status == PENDING:
                if record.key not in unwanted:
                    self.gone[record.key] = why
                self._refuse(record, why)
