"""`ClientState`: a client, as plugins see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shoal.scheduler.views.view import View

if TYPE_CHECKING:
    from shoal.comm.stream import MessageStream
    from shoal.scheduler.core import state as core
    from shoal.scheduler.views.registry import Views
    from shoal.scheduler.views.task import TaskState

__all__ = ["ClientComm", "ClientState"]


class ClientState(View):
    """A client of the scheduler.

    Attributes
    ----------
    client_key : str
        Its id.
    wants_what : set of TaskState
        The tasks whose results it wants.
    last_seen : float
        When it was last heard of, in seconds since the epoch.
    versions : dict
        Of Python and of packages in its process.
    """

    __slots__ = ()
    _core: core.ClientState
    _views: Views

    def __repr__(self) -> str:
        return f"<Client {self.client_key!r}>"

    def __str__(self) -> str:
        return self.client_key

    @property
    def client_key(self) -> str:
        """The id."""
        return self._core.id

    @property
    def id(self) -> str:
        """The id."""
        return self._core.id

    @property
    def name(self) -> str | None:
        """The name that the user gave it."""
        return self._core.name

    @property
    def wants_what(self) -> set[TaskState]:
        """The tasks whose results it wants."""
        return self._views.tasks(self._core.wants.values())

    @property
    def last_seen(self) -> float:
        """When it was last heard of, in seconds since the epoch."""
        return self._views.wall_time(self._core.last_seen)

    @property
    def versions(self) -> dict[str, Any]:
        """Of Python and of packages in its process."""
        return self._core.versions


class ClientComm:
    """The connection of a client: whether it is there, and whence it comes.

    Attributes
    ----------
    client_key : str
        The client's id.
    peer_address, local_address : str
        The ends of the connection.
    """

    __slots__ = ("_stream", "client_key")

    def __init__(self, client_key: str, stream: MessageStream[Any]) -> None:
        self.client_key = client_key
        self._stream = stream

    def __repr__(self) -> str:
        return f"<connection of {self.client_key!r} at {self.peer_address}>"

    @property
    def peer_address(self) -> str:
        """The address of the client's end."""
        return self._stream.peer_address

    @property
    def local_address(self) -> str:
        """The address of the scheduler's end."""
        return self._stream.local_address

    def closed(self) -> bool:
        """Whether it has ended."""
        return self._stream.closed

    def send(self, *messages: Any) -> None:
        """Clients take typed messages of the scheduler's own, and no others.

        Raises
        ------
        TypeError
            Always; it says what to do.
        """
        raise TypeError(
            "clients take no messages of others on their stream: use scheduler.log_event(topic, "
            "msg), and client.subscribe_topic(topic, handler)"
        )
