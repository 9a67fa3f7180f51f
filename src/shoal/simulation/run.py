"""One seed, one cluster's life: from the first submit to an empty scheduler."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from shoal.client.core import invariants as client_invariants
from shoal.scheduler.core import invariants as scheduler_invariants
from shoal.scheduler.core.coordination.state import coordination_of
from shoal.simulation.cluster import Cluster
from shoal.simulation.coverage import Coverage, watch_runs
from shoal.simulation.epilogue import begin_scene
from shoal.simulation.faults import Faults
from shoal.simulation.memory import run_memory
from shoal.simulation.profiles import profile_for
from shoal.simulation.stranger import Stranger
from shoal.simulation.trace import Trace
from shoal.worker.core import invariants as worker_invariants

__all__ = ["Life", "Result", "run_seed"]

_TIMEOUT = 300.0  # virtual seconds in which a cluster without faults must come to rest
_LOOK_EVERY = 0.1
_STEPS = 3_000_000
_NAMED = 10


@dataclass(slots=True)
class Result:
    """The outcome of one life."""

    seed: int
    kind: str
    events: int = 0
    tasks: int = 0
    runs: int = 0
    virtual_seconds: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    messages: Counter[str] = field(default_factory=Counter)
    digest: int = 0
    lines: int = 0
    failure: str | None = None
    last_lines: list[str] = field(default_factory=list)


class Life:
    """Drives one cluster through its phases."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.faults = Faults(cluster)
        self._stranger: Stranger | None = None

    def live(self) -> None:
        """Run to the end; raise `AssertionError` at the first thing that is wrong."""
        cluster = self.cluster
        if cluster.seed % 4 == 2:
            self._meet_a_stranger()
        self._until(lambda: cluster.clock.now >= cluster.profile.horizon, self._nothing)
        self.faults.stop()
        self._until(self._settled, self._unsettled)
        self._check_all()
        self._check_runs()
        self._check_actors()
        self._check_queue()
        self._check_shared()
        for user in cluster.users:
            for other in (user.primitives, user.names, user.journal):
                if user.client.alive and other is not None:
                    other.sweep()  # the leavings of clients that are gone
        scene = begin_scene(cluster)
        if scene is not None:
            self._until(scene, self._unsettled)
        self._until(self._settled, self._unsettled)
        for client in cluster.present:
            client.release(list(client.futures))
        self._until(self._forgotten, self._leaks)
        for client in cluster.present:
            client.close()
        self._until(self._empty, self._leaks)
        if cluster.scheduler_settings.idle_timeout is not None:
            self._until(lambda: cluster.scheduler.went_idle, self._nothing)
        self._check_all()

    def _meet_a_stranger(self) -> None:
        """Let one come, and later, before anything else is judged, be gone."""
        cluster = self.cluster

        def come() -> None:
            self._stranger = Stranger(cluster)

        cluster.clock.call_later(cluster.profile.horizon / 2, come)

    def _until(self, reached: Callable[[], bool], why_not: Callable[[], str]) -> None:
        clock = self.cluster.clock
        # One worker that is left may have to do all by itself.
        size = max(1.0, self.cluster.profile.tasks / 1000)
        deadline = clock.now + _TIMEOUT * size
        look_at = clock.now
        while True:
            if clock.now >= look_at:
                self._check_leases()
                if reached():
                    return
                look_at = clock.now + _LOOK_EVERY
            moving = clock.step() and clock.steps < _STEPS * size
            if not moving or clock.now > deadline:
                raise AssertionError(f"it hangs at {clock.now:.3f}: {why_not()}")

    @staticmethod
    def _nothing() -> str:
        return "nothing happens any more"

    # -- all that is wanted is there ---------------------------------------------------

    def _settled(self) -> bool:
        cluster = self.cluster
        if not all(user.done for user in self.cluster.users):
            return False
        if self._stranger is not None and not self._stranger.turned_away:
            return False
        connected = all(client.end is not None for client in cluster.present)
        if not connected or any(client.is_waiting() for client in cluster.present):
            return False
        if not all(cluster.model.specs[key].completed for key in cluster.owed):
            return False
        return not self._waiting_for()

    def _waiting_for(self) -> list[str]:
        """Let every client look at its results; return what is not there yet."""
        return [key for client in self.cluster.present for key in client.unsettled()]

    def _unsettled(self) -> str:
        cluster = self.cluster
        owed = [key for key in cluster.owed if not cluster.model.specs[key].completed]
        lines = [f"tasks of clients that left never ran: {owed[:_NAMED]}"] if owed else []
        for client in cluster.present:
            keys = client.unsettled()
            if keys:
                lines.append(f"{client.address} waits for {len(keys)} keys: {keys[:_NAMED]}")
                lines.append(cluster.explain(self._roots(keys)[:_NAMED]))
        lines += [f"{ws!r}" for ws in cluster.scheduler.machine.state.workers.values()]
        for node in cluster.nodes:
            s = node.machine.state
            lines.append(
                f"{node.address}: connected={s.connected} paused={s.paused} "
                f"tasks={list(s.tasks.values())[:_NAMED]} "
                f"missing={list(s.missing_keys.values())[:_NAMED]}"
            )
        return "\n".join(lines)

    def _roots(self, keys: list[str]) -> list[str]:
        """Return what the keys wait for in the end."""
        tasks = self.cluster.scheduler.machine.state.tasks
        found: dict[str, None] = {}
        for key in keys:
            for needed in self.cluster.model.closure(key):
                ts = tasks.get(needed)
                if ts is not None and ts.state not in ("memory", "released") and not ts.waiting_on:
                    found[needed] = None
        return list(found) or keys

    def _check_runs(self) -> None:
        """Where nothing fails, every task runs once, or as often as it asks for."""
        cluster = self.cluster
        profile = cluster.profile
        if profile.kind != "calm" or profile.churn or cluster.resubmitted:
            return
        for spec in cluster.model.specs.values():
            once = 0 if spec.kind == "data" else 1
            assert spec.started <= once + spec.ended, f"{spec.key} ran {spec.started} times"

    def _check_actors(self) -> None:
        """An actor that the scheduler knows lives where it was made."""
        if self.cluster.scheduler_deaths and self.cluster.losses:
            return  # a new scheduler may know proxies only, of one whose worker is gone
        homes = {node.address: node.executor for node in self.cluster.nodes}
        for ts in self.cluster.scheduler.machine.state.tasks.values():
            if ts.options.actor and ts.who_has:
                home = homes.get(ts.who_has[0].address)
                there = home is not None and ts.key in home.store and ts.key in home.actors
                assert there, f"{ts!r} does not live at {ts.who_has[0]!r}"
        for client in self.cluster.present:
            for key in client.live("finished"):
                if self.cluster.model.specs[key].kind == "actor":
                    home = homes.get(client.proxies[key])
                    there = home is not None and key in home.store and key in home.actors
                    assert there, f"{client.address} has the actor {key}, which is gone"

    def _check_queue(self) -> None:
        """Each item is in the queue, on its way, or was received, whichever process died."""
        users = [user.primitives for user in self.cluster.users if user.primitives is not None]
        coordination = coordination_of(self.cluster.scheduler.machine.state)
        if coordination is None or self.cluster.scheduler_deaths:
            return  # queues are gone with their scheduler
        queue = coordination.places.get(("queue", "p"))
        left = [] if queue is None else list(queue.items)
        for unacked in coordination.unacked.values():
            for delivery in unacked.values():
                left += delivery.items or []
        there = {item.value.decode() for item in left} | {
            item for user in users for item in user.got
        }
        lost = [item for user in users for item in user.queued if item not in there]
        assert not lost, f"nobody got {lost[:_NAMED]}, and the queue has lost it"

    def _check_shared(self) -> None:
        """Each item that a journal was to keep is there or was received, and once."""
        users = [user.journal for user in self.cluster.users if user.journal is not None]
        if not users:
            return
        coordination = coordination_of(self.cluster.scheduler.machine.state)
        queue = None if coordination is None else coordination.places.get(("queue", "shared"))
        left = [] if queue is None else [item.value.decode() for item in queue.items]
        found = Counter(left)
        for user in users:
            found.update(user.received)
        twice = [item for item, times in found.items() if times > 1]
        assert not twice, f"{twice[:_NAMED]} were received twice"
        lost = [item for user in users for item in user.shared if item not in found]
        assert not lost, f"nobody got {lost[:_NAMED]}, and the queue has lost it"

    def _check_leases(self) -> None:
        """Locks and leases of a client that says nothing are soon free."""
        s = self.cluster.scheduler.machine.state
        coordination = coordination_of(s)
        if coordination is None or not self.cluster.scheduler.alive:
            return
        settings = self.cluster.scheduler_settings
        longest = settings.lease_timeout + settings.lease_validation + 2 * _LOOK_EVERY
        for id, places in coordination.held.items():
            client = s.clients.get(id)
            silent = 0.0 if client is None else self.cluster.clock.now - client.last_seen
            if silent > longest:
                kept = [place for place in places.values() if not hasattr(place, "publishers")]
                assert not kept, f"{id} says nothing for {silent:.1f} s, and has {kept}"

    # -- nothing is held that nobody wants -----------------------------------------------

    def _forgotten(self) -> bool:
        cluster = self.cluster
        s = cluster.scheduler.machine.state
        if s.tasks or any(client.machine.state.records for client in cluster.present):
            return False
        return not any(self._left_on_workers()) and not any(self._left_at_clients())

    def _empty(self) -> bool:
        s = self.cluster.scheduler.machine.state
        return (
            not s.functions
            and not s.clients
            and not s.tasks
            and not self._left_in_coordination()
            and not self.cluster.scheduler.retiring
            and not any(self._left_on_workers())
        )

    def _left_in_coordination(self) -> list[str]:
        """Return what primitives still have: waiters, holders, values, what was handed over."""
        coordination = coordination_of(self.cluster.scheduler.machine.state)
        if coordination is None:
            return []
        parts = ("waiting", "held", "unacked", "kept", "answered", "gone")
        found = [f"{part} {left}" for part in parts if (left := getattr(coordination, part))]
        # All locks are in one place, which stays.
        places = [
            name for name, place in coordination.places.items() if getattr(place, "by_name", True)
        ]
        return [*found, f"places {places}"] if places else found

    def _left_at_clients(self) -> list[str]:
        """Return what clients believe to wait for, or to hold."""
        found = []
        for client in self.cluster.present:
            asks = client.machine.asks
            if left := [*asks.pending, *asks.held, *asks.claims, *asks.unasked, *asks.returns]:
                found.append(f"{client.address} has asks {left[:_NAMED]}")
            if client.machine.order.graphs or client.machine.order.expected:
                found.append(f"{client.address} expects {list(client.machine.order.expected)}")
        return found

    def _left_on_workers(self) -> list[str]:
        found = []
        for node in self.cluster.nodes:
            s = node.machine.state
            left = [
                *s.tasks,
                *s.data,
                *s.orphans,
                *s.missing_keys,
                *node.executor.store,
                *s.constrained,
            ]
            if left or not node.executor.idle or s.fetching_bytes:
                found.append(f"{node.address} holds {left[:_NAMED]}")
        return found

    def _left(self) -> list[str]:
        retiring = [f"nobody was told of {address}" for address in self.cluster.scheduler.retiring]
        return [*self._left_at_clients(), *self._left_in_coordination(), *retiring]

    def _leaks(self) -> str:
        s = self.cluster.scheduler.machine.state
        lines = [f"the scheduler knows {len(s.tasks)} tasks: {list(s.tasks.values())[:_NAMED]}"]
        lines.append(self.cluster.explain(list(s.tasks)[:_NAMED]))
        lines.append(f"functions: {list(s.functions)}, clients: {list(s.clients)}")
        for client in self.cluster.present:
            lines.append(
                f"{client.address} remembers {list(client.machine.state.records)[:_NAMED]}"
            )
        return "\n".join([*lines, *self._left(), *self._left_on_workers()])

    def _check_all(self) -> None:
        scheduler_invariants.check(self.cluster.scheduler.machine.state)
        for node in self.cluster.nodes:
            worker_invariants.check(node.machine)
        for client in self.cluster.present:
            client_invariants.check(client.machine)


def run_seed(
    seed: int,
    coverage: Coverage,
    kind: str | None = None,
    tasks: int | None = None,
    trace: Trace | None = None,
) -> Result:
    """Let one cluster live; whatever goes wrong is in the result.

    Parameters
    ----------
    seed : int
        Everything is drawn from it.
    coverage : Coverage
        Where transitions are counted.
    kind : str, optional
        The kind of life, else drawn from the seed.
    tasks : int, optional
        About how many tasks a graph has.
    trace : Trace, optional
        Where lines are written.
    """
    trace = trace or Trace()
    profile = profile_for(seed, kind, tasks)
    result = Result(seed, profile.kind)
    with watch_runs(coverage):
        cluster = Cluster(seed, profile, trace, coverage)
        try:
            Life(cluster).live()
            run_memory(seed)
        except Exception as error:
            tb = error.__traceback__
            while tb is not None and tb.tb_next is not None:
                tb = tb.tb_next
            where = f"{tb.tb_frame.f_code.co_filename}:{tb.tb_lineno}" if tb is not None else ""
            result.failure = f"{type(error).__name__}: {error}\n  at {where}"
            result.last_lines = list(trace.lines)
    specs = cluster.model.specs.values()
    result.events = cluster.events
    result.tasks = sum(1 for spec in specs if spec.kind != "data")
    result.runs = sum(spec.started for spec in specs)
    result.virtual_seconds = cluster.clock.now
    result.faults = cluster.faults
    result.messages = cluster.network.seen
    result.digest = trace.digest
    result.lines = trace.count
    return result
