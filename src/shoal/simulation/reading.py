"""Simulated runs read inputs where they are: on a worker of those that are said to have them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from shoal.worker.core.in_place import places_in_place

if TYPE_CHECKING:
    from shoal.wire.messages import Compute
    from shoal.worker.core import Machine

__all__ = ["Unread", "read_sources"]


class _Worker(Protocol):
    """A simulated worker, as far as others read from it, and it from others."""

    @property
    def address(self) -> str: ...
    @property
    def alive(self) -> bool: ...
    @property
    def machine(self) -> Machine: ...
    @property
    def executor(self) -> Any: ...
    @property
    def cluster(self) -> Any: ...


Unread = tuple[tuple[str, list[str], list[str]], ...]
"""Of each input that was not read: its key, who does not have it, who could not be reached."""


def read_sources(node: _Worker, compute: Compute) -> tuple[dict[int, bytes], Unread]:
    """Return the inputs that a run reads in place, by their numbers, and what it could not read."""
    values: dict[int, bytes] = {}
    unread: list[tuple[str, list[str], list[str]]] = []
    options = compute.options
    if options is None or not options.in_place:
        return values, ()
    for i in sorted(places_in_place(options.in_place)):
        key = compute.deps[i]
        life = compute.dep_lives[i] if compute.dep_lives else compute.life
        absent: list[str] = []
        unreachable: list[str] = []
        for address in compute.dep_holders[i]:
            peer = _reach(node, address)
            value = None
            if peer is not None and peer.machine.holds(key, life):
                value = peer.executor.store.get(key)
            if value is not None:
                values[i] = value
                break
            (unreachable if peer is None else absent).append(address)
        else:
            unread.append((key, absent, unreachable))
    return values, tuple(unread)


def _reach(node: _Worker, address: str) -> _Worker | None:
    network = node.cluster.network
    if address == node.address:
        return node
    if network.is_cut_off(address) or network.is_cut_off(node.address):
        return None
    workers: Any = (slot.node for slot in node.cluster.slots)
    return next((w for w in workers if w is not None and w.alive and w.address == address), None)
