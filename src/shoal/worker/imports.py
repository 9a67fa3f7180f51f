"""One thread at a time unpickles what may import modules.

Modules that import each other, as those of numpy and xarray do, must not be imported by two threads
from two ends: Python gives up one of the two with an error ("partially initialized module"). What
the code of a task imports is out of reach here.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["IMPORTS", "Imports"]

# Seconds for which a thread waits for another's imports.
_TIMEOUT = 30.0


class Imports:
    """Lets one thread in at a time; one that has waited for long goes on beside the other.

    Attributes
    ----------
    busy : int
        More than 0 while a thread is in. The event loop's thread does not wait for it.
    first_uses : int
        More than 0 while a function is used for the first time. Other threads unpickle nothing that
        may be new to the process then.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self.busy = 0
        self.first_uses = 0

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Be the only thread that unpickles; yields whether it is."""
        alone = self._lock.acquire(timeout=_TIMEOUT)
        self.busy += alone  # changed by the one thread that is in, as `first_uses`
        try:
            yield alone
        finally:
            self.busy -= alone
            if alone:
                self._lock.release()

    @contextmanager
    def first_use(self) -> Iterator[None]:
        """Be the only thread that unpickles a function, and arguments, for the first time."""
        with self.alone() as alone:
            self.first_uses += alone
            try:
                yield
            finally:
                self.first_uses -= alone


# Modules belong to the process, whatever number of workers is in it.
IMPORTS = Imports()
