"""Actors of a client: the lines that its calls take, and the futures that keep actors alive."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from shoal.actors.lines import ActorLines
from shoal.actors.side import NoClient, set_side
from shoal.client.core.state import Record
from shoal.client.current import current_client
from shoal.client.future import collect_pickled, make_future
from shoal.client.outcome import load
from shoal.client.tasks import client_here

if TYPE_CHECKING:
    from shoal.client.client import Client

__all__ = ["close_lines", "lines_of"]


def lines_of(client: Client) -> ActorLines:
    """Return the lines of a client to actors, made at first use."""
    lines = client._actor_lines
    if lines is None:
        session = client._session
        assert session.loop is not None

        def gone(address: str) -> str | None:
            if session.ended is not None:
                return session.ended
            workers = session.machine.state.workers
            return None if address in workers else "its worker is not there any more"

        with session.lock:
            if client._actor_lines is None:
                client._actor_lines = ActorLines(
                    session.loop,
                    lambda: client.connection_args,
                    lambda value: load(client, value),
                    is_asynchronous=lambda: session.asynchronous,
                    gone=gone,
                )
                session.on_workers.append(client._actor_lines.look)
        lines = client._actor_lines
    return lines


def close_lines(client: Client) -> None:
    """End the lines of a client that is closing."""
    if client._actor_lines is not None:
        client._actor_lines.close("this client was closed")


class _Clients(NoClient):
    def lines(self, allow_global: bool) -> ActorLines | None:
        try:
            return lines_of(current_client(allow_global))
        except ValueError:
            return None

    def hold(self, key: str) -> Any:
        session = client_here()._session
        return make_future(session, session.share(Record(key)))

    def collecting(self) -> AbstractContextManager[list[Any]]:
        return collect_pickled()


set_side(_Clients())
