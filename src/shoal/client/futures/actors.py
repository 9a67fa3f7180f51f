"""Actors of a client: the connections of its calls, and the futures that keep actors alive."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from shoal.actors.client_hooks import ClientHooks, set_client_hooks
from shoal.actors.connections import ActorConnections
from shoal.client.core.state import Record
from shoal.client.current import current_client
from shoal.client.futures.future import collect_pickled, make_future
from shoal.client.futures.outcome import load
from shoal.client.in_task.task_client import client_here

if TYPE_CHECKING:
    from shoal.client.session.context import ClientContext

__all__ = ["actor_connections_of", "close_actor_connections"]


def actor_connections_of(client: ClientContext) -> ActorConnections:
    """Return the connections of a client to actors, made at first use."""
    connections = client._actor_connections
    if connections is None:
        session = client._session
        assert session.loop is not None

        def gone(address: str) -> str | None:
            if session.ended is not None:
                return session.ended
            workers = session.machine.state.workers
            return None if address in workers else "its worker is not there any more"

        with session.lock:
            if client._actor_connections is None:
                client._actor_connections = ActorConnections(
                    session.loop,
                    lambda: client.connection_args,
                    lambda value: load(client, value),
                    is_asynchronous=lambda: session.asynchronous,
                    gone=gone,
                )
                session.on_workers.append(client._actor_connections.look)
        connections = client._actor_connections
    return connections


def close_actor_connections(client: ClientContext) -> None:
    """End the connections of a client that is closing."""
    if client._actor_connections is not None:
        client._actor_connections.close("this client was closed")


class _Clients(ClientHooks):
    def connections(self, allow_global: bool) -> ActorConnections | None:
        try:
            return actor_connections_of(current_client(allow_global))
        except ValueError:
            return None

    def hold(self, key: str) -> Any:
        session = client_here()._session
        return make_future(session, session.share(Record(key)))

    def collecting(self) -> AbstractContextManager[list[Any]]:
        return collect_pickled()


set_client_hooks(_Clients())
