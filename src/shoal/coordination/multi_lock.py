"""`MultiLock`: several locks at once, all or none."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from shoal._base.numbers import whole_number
from shoal.coordination.asking import Name, Seconds, wire_name
from shoal.coordination.holding import Holdable, wait_time

if TYPE_CHECKING:
    from shoal.client.session.context import ClientContext

__all__ = ["MultiLock"]


class MultiLock(Holdable):
    """Several locks that are acquired together, so that nobody waits while holding some of them.

    Parameters
    ----------
    names : list of str, numbers or tuples of these
        Names of the locks; the same locks as those of `Lock`.
    client : Client, optional
        By default the client of the task or of the context.

    Examples
    --------
    >>> lock = MultiLock(['x', 'y'])  # doctest: +SKIP
    >>> lock.acquire(timeout=1)  # doctest: +SKIP
    >>> # do things with the resources 'x' and 'y'
    >>> lock.release()  # doctest: +SKIP
    """

    kind = "lock"

    def __init__(self, names: Iterable[Name] = (), client: ClientContext | None = None) -> None:
        if isinstance(names, str):
            raise TypeError(f"names must be a list of names, got {names!r}")
        self.names = list(dict.fromkeys(names))
        super().__init__(", ".join(map(str, self.names)) or None, client)
        if not self.names:
            self.names = [self.name]
        self._wire_names = [wire_name(name, self.kind) for name in self.names]

    def acquire(
        self, blocking: bool = True, timeout: Seconds = None, num_locks: int | None = None
    ) -> Any:
        """Acquire the locks.

        Parameters
        ----------
        blocking : bool
            False: do not wait.
        timeout : number, str or timedelta, optional
            Seconds to wait, or a text such as ``"1s"``.
        num_locks : int, optional
            How many of the locks are needed; all of them by default.

        Returns
        -------
        bool
            Whether they were acquired.
        """
        needed = len(self.names) if num_locks is None else whole_number("num_locks=", num_locks)
        if not 0 < needed <= len(self.names):
            raise ValueError(
                f"num_locks must be from 1 to {len(self.names)}, the number of names; got {needed}"
            )
        names = self._wire_names
        return self._acquire(names, needed, timeout=wait_time(blocking, timeout), claim=[names])

    def release(self) -> Any:
        """Release the locks.

        Raises
        ------
        RuntimeError
            When this object has not acquired them.
        """
        return self._release()

    def locked(self) -> Any:
        """Return whether this object holds the locks."""
        held = bool(self._held)
        return self._ready_with(held) if self.client.asynchronous else held

    async def _ready_with(self, value: bool) -> bool:
        return value

    def __reduce__(self) -> tuple[Any, ...]:
        return MultiLock, (self.names,)
