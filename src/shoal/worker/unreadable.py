"""The stand-in for a value that came and could not be unpickled here."""

from __future__ import annotations

__all__ = ["Unreadable"]


class Unreadable:
    """Kept in the value's place, so that the tasks that need it fail and say why.

    Parameters
    ----------
    key : str
        The value's key.
    error : BaseException
        The exception of unpickling.
    cannot : str
        The action that is not possible with it.
    """

    __slots__ = ("cannot", "error", "key")

    def __init__(
        self, key: str, error: BaseException, cannot: str = "be unpickled on this worker"
    ) -> None:
        self.key = key
        self.error = error
        self.cannot = cannot

    def raise_error(self) -> None:
        """Raise what a task that needs the value fails with."""
        raise RuntimeError(
            f"the input {self.key!r} cannot {self.cannot}: "
            f"{type(self.error).__name__}: {self.error}"
        ) from self.error
