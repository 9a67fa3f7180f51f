"""Scenes at the end of a life, for effects that chance brings about too seldom.

Each begins when the cluster has come to rest, and says when its effect was seen; then the cluster
comes to rest once more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from shoal.client.core import events as e
from shoal.client.core.asks import Asking
from shoal.simulation.profiles import JOURNAL
from shoal.wire.messages import Ask

if TYPE_CHECKING:
    from shoal.simulation.cluster import Cluster
    from shoal.simulation.simulated_client import SimulatedClient
    from shoal.simulation.worker_node import WorkerNode

__all__ = ["begin_scene"]

Scene: TypeAlias = Callable[[], bool]
"""Whether its effect was seen."""

_LOCK = "epilogue"
_FIRST = 2_000_000  # number of the first ask: those of users count from less
_AWAY = 5.0  # seconds; longer than the scheduler keeps what a client holds


def begin_scene(cluster: Cluster) -> Scene | None:
    """Begin the scene of a seed, if it has one and the cluster is large enough for it."""
    if cluster.profile.kind == JOURNAL:
        return None
    cluster.at_restart = {}  # a worker is lost now, where only schedulers died before
    if cluster.seed % 4 == 0:
        return _lose_a_lock(cluster)
    if cluster.seed % 4 == 1:
        return _silence_a_worker(cluster)
    if cluster.seed % 4 == 3:
        return _fill_a_worker(cluster)
    return None


def _silence_a_worker(cluster: Cluster) -> Scene | None:
    """A worker is not heard of for longer than the scheduler bears, and comes back."""
    bears = cluster.scheduler_settings.worker_ttl
    actors = any(node.executor.actors for node in cluster.nodes)
    nodes = _members(cluster)
    if bears is None or bears > _AWAY or not nodes or actors:
        return None
    node = nodes[0]
    cluster.note_loss(node.address)
    cluster.network.cut_off(node.address, 2 * bears)
    before = cluster.scheduler.silenced
    return lambda: cluster.scheduler.silenced > before


def _fill_a_worker(cluster: Cluster) -> Scene | None:
    """Something fills a worker's memory for good: it hands over its data, and begins anew."""
    nodes = _members(cluster)
    if len(nodes) < 2 or any(node.executor.actors for node in cluster.nodes):
        return None
    node = nodes[0]
    cluster.note_loss(node.address)  # it may also be closed with what it has
    node.use_memory(950)

    def is_over() -> bool:
        if node.left:
            node.use_memory(0)
        return node.left or not node.alive  # it may be retired just now

    return is_over


def _members(cluster: Cluster) -> list[WorkerNode]:
    """Return the workers that are in: one that is being started may yet be turned away."""
    return [node for node in cluster.nodes if node.machine.state.connected]


def _lose_a_lock(cluster: Cluster) -> Scene | None:
    """A client that has a lock is not heard of until another one has it; it is told."""
    clients = [client for client in cluster.present if client.home is None]
    if len(clients) < 2:
        return None
    first, second = clients[:2]
    over = False

    def acquired() -> None:
        _ask(second, _FIRST, "acquire", taken_over)
        cluster.note_loss(first.address)
        cluster.network.cut_off(first.address, _AWAY)
        for end in cluster.network.ends_of(first):
            cluster.network.sever(end)

    def taken_over() -> None:
        cluster.clock.call_later(0.1, look)

    def look() -> None:
        if first.lost_locks:
            _ask(second, _FIRST + 1, "release", released)
        else:
            cluster.clock.call_later(0.1, look)

    def released() -> None:
        nonlocal over
        over = True

    _ask(first, _FIRST, "acquire", acquired)
    return lambda: over


def _ask(client: SimulatedClient, number: int, op: str, then: Callable[[], None]) -> None:
    """Acquire the lock, or release what an ask acquired."""

    def wake(asking: Asking) -> None:
        assert asking.answer is not None and not asking.answer.error, asking.answer
        client.later(0.0, then)

    args: list[Any] = [[_LOCK], 1] if op == "acquire" else [_FIRST]
    claim = ("claim", [[_LOCK]]) if op == "acquire" else None
    gives_back = 0 if op == "acquire" else _FIRST
    ask = Ask(number, "lock", "", op, args, [])
    client.handle(e.RequestMade(Asking(ask, wake, claim, gives_back)))
