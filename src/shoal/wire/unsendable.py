"""The stand-in for a value that cannot be pickled, or could not be read."""

from __future__ import annotations

from typing import Any

from shoal.wire.blob import Blob
from shoal.wire.failures import load_failure, pack_failure
from shoal.wire.pickling import dumps

__all__ = ["Unsendable", "dumps_or_why"]


class Unsendable:
    """Says why a value did not come; a caller that wants it gets the error.

    Parameters
    ----------
    exception, traceback : bytes
        Pickles of what was raised.
    text : str
        The same for people.
    """

    __slots__ = ("exception", "text", "traceback")

    def __init__(self, exception: bytes, traceback: bytes, text: str) -> None:
        self.exception = exception
        self.traceback = traceback
        self.text = text

    def __reduce__(self) -> Any:
        return Unsendable, (self.exception, self.traceback, self.text)

    def error(self) -> BaseException:
        """Return what was raised where the value is."""
        return load_failure(Blob(self.exception), Blob(self.traceback), self.text)


def dumps_or_why(value: Any) -> Blob:
    """Pickle a value, or in its place the reason why that cannot be: others go on."""
    try:
        return dumps(value)
    except Exception as error:
        failure = pack_failure(error)
        exception, frames = bytes(failure.exception.data), bytes(failure.traceback.data)
        return dumps(Unsendable(exception, frames, failure.exception_text))
