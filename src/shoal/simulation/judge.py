"""Says whether what a client was told is what it should have been told."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from shoal.client.core.state import Failure, Record
from shoal.errors import (
    ActorLostError,
    DataLostError,
    KilledWorker,
    NoValidWorkerError,
    TaskTimeout,
)
from shoal.simulation.model import is_name
from shoal.wire.pickling import loads

if TYPE_CHECKING:
    from shoal.simulation.simulated_client import SimulatedClient
    from shoal.simulation.world import World
    from shoal.wire.messages import Inline

__all__ = ["NOT_LOWERED", "Judge"]

NOT_LOWERED = b"lowering"
"""The error of a graph that its client could not lower."""

_USER = b"user:"


class Judge:
    """Raises `AssertionError` at the first wrong word."""

    def __init__(self, cluster: World) -> None:
        self.cluster = cluster
        self.values = 0
        self.errors = 0
        self.holders: dict[str, set[tuple[str, int]]] = {}  # of locks and leases, by kind
        self.calls: set[tuple[str, str, int, int]] = set()  # of actors: key, process, number

    def value(self, client: SimulatedClient, key: str, value: Inline) -> None:
        """A result arrived."""
        self.values += 1
        model = self.cluster.model
        meanings = client.meanings.get(key) or model.meanings(key)
        expected = [model.expected(meaning) for meaning in meanings]
        assert value in expected, (
            f"{client.address} got a wrong value for {key}, which means {meanings}"
        )

    def error(self, client: SimulatedClient, record: Record) -> None:
        """A task failed."""
        self.errors += 1
        assert isinstance(record.why, Failure)
        failure = record.why
        model = self.cluster.model
        if bytes(failure.exception.data) == NOT_LOWERED:
            closure = model.closure(record.key)
            because = f"{record.key} fails, and all that it needs was lowered"
            assert any(key in client.not_lowered for key in closure), because
            return
        because = f"{record.key} fails because of {failure.blame}"
        assert model.needs(record.key, failure.blame), because
        data = bytes(failure.exception.data)
        if data.startswith(_USER):
            culprit = data[len(_USER) :].decode()
            assert culprit == failure.blame, f"{record.key}: {culprit} failed, not {failure.blame}"
            assert not model.specs[culprit].always_works, (
                f"{culprit} does not fail, but {record.key} did"
            )
            return
        error = loads(failure.exception)
        if isinstance(error, TaskTimeout):
            spec = model.specs[failure.blame]
            assert error.key == failure.blame, f"{record.key}: {error}"
            assert spec.overran, f"{record.key} fails: {error}, but it never took so long"
        elif isinstance(error, KilledWorker):
            self._killed(record.key, failure.blame, error)
        elif isinstance(error, DataLostError):
            assert model.needs(record.key, error.key), f"{record.key} fails: {error}"
            self._may_be_lost(client, error.key, str(error))
        elif isinstance(error, ActorLostError):
            assert model.needs(record.key, error.key), f"{record.key} fails: {error}"
            gone = self.cluster.losses[error.worker] or error.worker in self.cluster.retiring
            assert gone, f"{error}, but {error.worker} was never lost"
        else:
            assert isinstance(error, NoValidWorkerError), f"{record.key} fails: {error!r}"
            options = model.specs[failure.blame].options
            wishes = options is not None and (options.workers or options.resources)
            assert wishes or self.cluster.losses, f"{record.key} fails: {error}"

    def _killed(self, key: str, blamed: str, error: KilledWorker) -> None:
        assert self.cluster.profile.kind != "tasks-overrun", f"{blamed} is blamed: {error}"
        cause = self.cluster.causes.get(error.deaths[-1][1])
        assert cause is None or cause == blamed, f"{blamed} is blamed for what {cause} did"
        allowed = self.cluster.scheduler_settings.allowed_failures
        assert len(error.deaths) > allowed, f"{key} killed {error.deaths}, {allowed} are allowed"
        for address, times in Counter(address for address, _ in error.deaths).items():
            known = self.cluster.losses[address]
            assert times <= known, (
                f"{key} killed {address} {times} times, it was lost {known} times"
            )

    def actor_answered(
        self,
        client: SimulatedClient,
        key: str,
        address: str,
        found: tuple[int, int] | None,
        there: bool,
    ) -> None:
        """A call of an actor ended: with its number, or nobody answered; `there`: it should."""
        cluster = self.cluster
        process, number = found or (0, 0)
        if number:
            call = (key, address, process, number)
            assert call not in self.calls, (
                f"{client.address}: {call} of an actor was answered twice"
            )
            self.calls.add(call)
        elif there and cluster.profile.kind == "calm" and not cluster.forced:
            raise AssertionError(f"{client.address} has the actor {key}, and {address} does not")

    def holds(self, client: str, id: int, kind: str, most: int) -> None:
        """A client has a lock or a lease, of which there are so many."""
        holders = self.holders.setdefault(kind, set())
        holders.add((client, id))
        assert len(holders) <= most, f"a {kind} is held by {sorted(holders)}"

    def lets_go(self, client: str, id: int, kind: str) -> None:
        """A client gives it back."""
        self.holders[kind].remove((client, id))

    def lost(self, client: SimulatedClient, record: Record) -> None:
        """A key is said to be lost."""
        calm = self.cluster.profile.kind == "calm"
        if calm and record.key in client.promised and not self.cluster.forced:
            raise AssertionError(f"{client.address} was handed {record.key}, and nobody kept it")
        self._may_be_lost(client, record.key, str(record.why))

    def _may_be_lost(self, client: SimulatedClient, key: str, text: str) -> None:
        cluster = self.cluster
        # Another client's key is given up when the scheduler has not heard of it yet, or no more.
        if any(key in other.foreign for other in cluster.clients):
            return
        is_data = cluster.model.specs[key].kind == "data"
        assert is_data, f"{client.address}: the task {key} is lost: {text}"
        if not any(key in other.live() for other in cluster.present):
            return  # released, and needed again when what was computed from it was lost
        holders = cluster.holders.get(key, [])
        if key in cluster.model.versions or is_name(key):  # which life was where, nobody notes
            assert any(cluster.losses[address] for address in holders), (
                f"{client.address}: {text}, but none of {holders} was ever lost"
            )
            return
        for address in holders:
            assert cluster.losses[address], (
                f"{client.address}: {text}, but {address} was never lost"
            )

    def cancelled(self, client: SimulatedClient, record: Record) -> None:
        """A key is said to be cancelled."""
        if client.machine.state.ended is not None:
            return
        if self.cluster.faults["restart"] and "restarted" in str(record.why):
            return
        closure = self.cluster.model.closure(record.key)
        mine = any(key in client.cancelled for key in closure)
        forced = any(key in self.cluster.forced for key in closure)
        assert mine or forced, f"{client.address}: {record.key} was cancelled: {record.why}"
