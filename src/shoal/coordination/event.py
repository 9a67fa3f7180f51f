"""`Event`: a flag to wait for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shoal.coordination.asking import Name, Named, Seconds

if TYPE_CHECKING:
    from shoal.client.session.context import ClientContext

__all__ = ["Event"]


class Event(Named):
    """A flag that clients and tasks share, like `asyncio.Event`. It is false at first.

    Parameters
    ----------
    name : str, number or tuple of these, optional
        Objects of the same name are the same event; a random name by default.
    client : Client, optional
        By default the client of the task or of the context.

    Notes
    -----
    With an asynchronous client, methods return awaitables.

    Examples
    --------
    >>> event_1 = Event('a')  # doctest: +SKIP
    >>> event_1.wait(timeout=1)  # doctest: +SKIP
    >>> # in another process
    >>> event_2 = Event('a')  # doctest: +SKIP
    >>> event_2.set()  # doctest: +SKIP
    >>> # now event_1 will stop waiting
    """

    kind = "event"

    def __init__(self, name: Name | None = None, client: ClientContext | None = None) -> None:
        super().__init__(name, client)

    def wait(self, timeout: Seconds = None) -> Any:
        """Wait until the flag is true.

        Parameters
        ----------
        timeout : number, str or timedelta, optional
            Seconds to wait, or a text such as ``"200ms"``.

        Returns
        -------
        bool
            False when the time was over before.
        """
        return self._ask("wait", timeout=timeout, late=False)

    def set(self) -> Any:
        """Make the flag true; all waiting calls return."""
        return self._tell("set")

    def clear(self) -> Any:
        """Make the flag false; `wait` blocks from now on."""
        return self._tell("clear")

    def is_set(self) -> Any:
        """Return whether the flag is true."""
        return self._ask("is_set")

    def __reduce__(self) -> tuple[Any, ...]:
        return Event, (self.name,)
