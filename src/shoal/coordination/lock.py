"""`Lock`: one holder at a time, in the whole cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shoal.coordination.asking import Name, Seconds
from shoal.coordination.holding import Holdable, wait_time

if TYPE_CHECKING:
    from shoal.client.core.asks import Asking
    from shoal.client.session.context import ClientContext
    from shoal.client.session.session import Session

__all__ = ["Lock"]


class Lock(Holdable):
    """A lock that clients and tasks share, like `threading.Lock`.

    Parameters
    ----------
    name : str, number or tuple of these, optional
        Objects of the same name are the same lock; a random name by default.
    client : Client, optional
        By default the client of the task or of the context.

    Notes
    -----
    The first that asks gets it first. A holder that dies loses the lock within a second or so; one
    that says nothing for ``distributed.scheduler.locks.lease-timeout`` loses it then. With an
    asynchronous client, methods return awaitables, and ``async with`` works.

    See Also
    --------
    MultiLock : several at once
    Semaphore : several holders

    Examples
    --------
    >>> lock = Lock('x')  # doctest: +SKIP
    >>> lock.acquire(timeout=1)  # doctest: +SKIP
    >>> # do things with protected resource
    >>> lock.release()  # doctest: +SKIP
    """

    kind = "lock"
    max_leases = 1

    def __init__(self, name: Name | None = None, client: ClientContext | None = None) -> None:
        super().__init__(name, client)

    def acquire(self, blocking: bool = True, timeout: Seconds = None) -> Any:
        """Acquire the lock.

        Parameters
        ----------
        blocking : bool
            False: do not wait.
        timeout : number, str or timedelta, optional
            Seconds to wait, or a text such as ``"1s"``.

        Returns
        -------
        bool
            Whether it was acquired.

        Examples
        --------
        >>> lock = Lock('x')  # doctest: +SKIP
        >>> lock.acquire(timeout="1s")  # doctest: +SKIP
        """
        names = [self._wire_name]
        return self._acquire(names, 1, timeout=wait_time(blocking, timeout), claim=[names])

    def release(self) -> Any:
        """Release the lock.

        Raises
        ------
        RuntimeError
            When this object has not acquired it.
        """
        return self._release()

    def locked(self) -> Any:
        """Return whether somebody holds the lock."""
        return self._ask("locked", self._wire_name)

    def get_value(self) -> Any:
        """Return how many hold the lock: 1 or 0."""
        return self._ask("locked", self._wire_name, load=_as_number)

    def __reduce__(self) -> tuple[Any, ...]:
        return Lock, (self.name,)


def _as_number(session: Session, asking: Asking) -> int:
    answer = asking.answer
    assert answer is not None
    return int(answer.value)
