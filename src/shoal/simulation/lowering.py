"""A thread of a simulated client that lowers a graph part by part, while its user goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.client.core.events import GraphAnnounced, GraphComplete, GraphPart, Released
from shoal.client.core.state import Failure, PendingGraph, Record
from shoal.simulation.judge import NOT_LOWERED
from shoal.wire.blob import Blob

if TYPE_CHECKING:
    from random import Random

    from shoal.simulation.model import Spec
    from shoal.simulation.simulated_client import SimulatedClient

__all__ = ["Lowering"]


class Lowering:
    """One graph on its way.

    Parameters
    ----------
    client : SimulatedClient
        Whose graph it is.
    rng : Random
        Chance.
    specs : list of Spec
        The tasks, inputs first.
    share : float
        Of how many tasks, besides the last ones, there are futures.
    fails : bool
        Whether something in it cannot be sent.
    """

    def __init__(
        self, client: SimulatedClient, rng: Random, specs: list[Spec], share: float, fails: bool
    ) -> None:
        self.client = client
        self.rng = rng
        self.specs = specs
        self.told = 0
        self.end = rng.randrange(len(specs)) if fails else len(specs)
        self.passing: list[str] = []  # wanted until all is told: a later part needs them
        self._last_use = {dep: i for i, spec in enumerate(specs) for dep in spec.deps}
        mine = {spec.key for spec in specs}
        # Futures of inputs are kept until all is told.
        self.held = dict.fromkeys(dep for spec in specs for dep in spec.deps if dep not in mine)
        client.held.update(list(self.held))
        records: dict[str, Record] = {}
        for spec in specs:
            client.cluster.model.add(spec)
            if spec.key not in self._last_use or rng.random() < share:
                records[spec.key] = client.futures[spec.key] = Record(spec.key)
        self.graph = PendingGraph(records)
        client.asking += 1
        client.handle(GraphAnnounced(self.graph))
        self._go_on()

    def _go_on(self) -> None:
        pause = self.rng.choice([0.0, 0.001, 0.1]) * self.rng.random()
        self.client.later(pause, self._lower)

    def _lower(self) -> None:
        if self.told == self.end or self.graph.stopped:
            self._complete()
            return
        size = self.rng.randint(1, max(1, self.end // 3))
        part = self.specs[self.told : min(self.told + size, self.end)]
        self.told += len(part)
        records = [self._record(spec) for spec in part]
        self.client.handle(GraphPart(self.graph, records))
        self._go_on()

    def _record(self, spec: Spec) -> Record:
        call, args = self.client.call_of(spec), spec.key.encode()
        own = self.graph.records.get(spec.key)
        if own is not None:
            own.call, own.args, own.deps = call, args, spec.deps
            return own
        wanted = self._last_use.get(spec.key, 0) >= self.told
        if wanted:
            self.passing.append(spec.key)
            self.client.held[spec.key] += 1
        return Record(spec.key, call, args, spec.deps, wanted=wanted)

    def _complete(self) -> None:
        client = self.client
        client.asking -= 1
        failure = None
        if self.told < len(self.specs) and not self.graph.stopped:
            client.not_lowered.update(dict.fromkeys(spec.key for spec in self.specs[self.told :]))
            failure = Failure(Blob(NOT_LOWERED), Blob(b"traceback"), "")
        client.held.subtract([*self.held, *self.passing])
        passing = [key for key in self.passing if key not in client.futures]
        passing += [key for key in self.held if key in client.dropped and not client.held[key]]
        for key in passing:
            client.dropped.pop(key, None)
        if passing:
            client.handle(Released(passing))
        client.handle(GraphComplete(self.graph, failure))
