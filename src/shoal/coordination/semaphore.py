"""`Semaphore`: so many holders at a time, in the whole cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from shoal._base.numbers import whole_number
from shoal.coordination.asking import Name, Seconds
from shoal.coordination.holding import Holdable

if TYPE_CHECKING:
    from shoal.client.session.context import ClientContext

__all__ = ["Semaphore"]


class Semaphore(Holdable):
    """A semaphore that clients and tasks share.

    Parameters
    ----------
    max_leases : int
        How many may hold it at a time.
    name : str, number or tuple of these, optional
        Objects of the same name are the same semaphore; a random name by default.
    register : bool
        Tell the scheduler now, which finds out when others use the name with another `max_leases`.
    scheduler_rpc, loop : optional
        Accepted for compatibility.
    client : Client, optional
        By default the client of the task or of the context.

    Notes
    -----
    The first that asks gets a lease first. A holder that dies loses its leases within a second or
    so; one that says nothing for ``distributed.scheduler.locks.lease-timeout`` loses them then.
    Clients are heard of all the time, so leases need no care.

    Examples
    --------
    >>> sem = Semaphore(max_leases=2, name="database")  # doctest: +SKIP
    >>> def access_limited(val, sem):
    ...     with sem:
    ...         return val  # use the database
    >>> futures = client.map(access_limited, range(10), sem=sem)  # doctest: +SKIP
    >>> client.gather(futures)  # doctest: +SKIP
    >>> sem.close()  # doctest: +SKIP
    """

    kind = "semaphore"

    def __init__(
        self,
        max_leases: int = 1,
        name: Name | None = None,
        register: bool = True,
        scheduler_rpc: Any = None,
        loop: Any = None,
        client: ClientContext | None = None,
    ) -> None:
        super().__init__(name, client)
        self.max_leases = whole_number("max_leases", max_leases, 1)
        self._unregistered = register
        home = self._home
        if register and home is not None and not home.asynchronous:
            self.register()

    def register(self, **kwargs: Any) -> Any:
        """Tell the scheduler of this semaphore; one of this name that was closed is open again."""
        self._unregistered = False
        return self._ask("register", self.max_leases)

    def acquire(self, timeout: Seconds = None) -> Any:
        """Acquire a lease.

        Parameters
        ----------
        timeout : number, str or timedelta, optional
            Seconds to wait, or a text such as ``"1s"``.

        Returns
        -------
        bool
            Whether it was acquired.

        Raises
        ------
        RuntimeError
            When the semaphore was closed.
        """
        return self._acquire(self.max_leases, timeout=timeout, claim=[self.max_leases])

    def release(self) -> Any:
        """Release a lease, the oldest that was acquired through this object.

        Returns
        -------
        bool
            False when the lease was lost before.

        Raises
        ------
        RuntimeError
            When this object has no lease.
        """
        return self._release()

    @property
    def leases(self) -> list[int]:
        """The leases that this object holds, oldest first."""
        return [number for _, number in self._held]

    def get_value(self) -> Any:
        """Return how many leases are out."""
        return self._ask("value")

    def refresh_leases(self) -> Any:
        """Let the scheduler know that the leases are in use. Clients do so by themselves."""
        return self._ask("refresh")

    refresh = refresh_leases

    def close(self) -> Any:
        """Close the semaphore for all; calls that wait for a lease raise `RuntimeError`."""
        self._held.clear()
        return self._tell("close")

    async def _ready(self) -> Self:
        if self._unregistered:
            self._unregistered = False
            await self._ask("register", self.max_leases)
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return Semaphore, (self.max_leases, self.name, False)
