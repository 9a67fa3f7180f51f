"""The requests that a peer may make to a scheduler: by its role, and only for its own session.

A peer with the cluster's secret, or of the same user on the same host, may do everything, as it can
take any role. A holder of the clients' secret is a client, and no other client than it is. A holder
of the workers' secret is a worker, or a client as its tasks may be: the tasks that these submit run
on workers, where it may run code anyway; but nothing that it sends runs in the scheduler's own
process, nor ends the cluster. The reasons are in decision 0027.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shoal.comm.base import Comm

__all__ = ["check_request", "may_be"]

# Requests that only workers and their nannies make.
_OF_WORKERS = frozenset({"worker_died"})

# Requests that run users' code in the scheduler's process, or end the work of all others.
_OF_CLIENTS = frozenset(
    {
        "dump_cluster_state_to_url",
        "register_scheduler_plugin",
        "restart",
        "run_function",
        "start_ipython",
        "terminate",
        "unregister_scheduler_plugin",
    }
)


def check_request(
    comm: Comm, op: str, arguments: Mapping[str, Any], owners: Mapping[str, str | None]
) -> None:
    """Refuse what the peer's role may not ask for.

    Parameters
    ----------
    comm : Comm
        The connection.
    op : str
        The operation.
    arguments : mapping
        Of the operation.
    owners : mapping
        The identity that each client introduced itself with.

    Raises
    ------
    PermissionError
        Which names what was asked.
    """
    if comm.peer_role == "worker" and op in _OF_CLIENTS:
        raise PermissionError(
            f"a worker may not ask for {op!r}, as a client may: connect with the cluster's own "
            "secret, or that of the role 'client' ('shoal secret export --role client')"
        )
    if comm.peer_role not in ("client", "worker"):
        return
    name = arguments.get("client")
    if isinstance(name, str) and not may_be(comm, name, owners):
        raise PermissionError(f"{op!r} for another client: a client speaks for itself alone")
    if comm.peer_role == "worker":
        return
    if op in _OF_WORKERS or (op == "stream" and arguments.get("edge") != "client"):
        raise PermissionError(f"a client may not ask for {op!r}, as a worker may")


def may_be(comm: Comm, name: str, owners: Mapping[str, str | None]) -> bool:
    """Whether a peer may speak for the client of a name: unless another process introduced it."""
    owner = owners.get(name)
    return owner is None or comm.peer_identity is None or owner == comm.peer_identity
