"""The outcome of a task in Python objects: values and exceptions are unpickled here."""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, TypeAlias

from shoal._base.keys import decode_key
from shoal.actors.actor import Actor
from shoal.client.core.state import CANCELLED, ERROR, LOST, Failure, Record
from shoal.client.current import as_current
from shoal.errors import DataLostError, FutureCancelledError, RemoteError
from shoal.wire.blob import Blob
from shoal.wire.pickling import loads, loads_bytes
from shoal.wire.plain_values import PLAIN_RESULTS
from shoal.wire.serialize.chosen import loads_by_families
from shoal.wire.unsendable import Unsendable

if TYPE_CHECKING:
    from shoal.client.session.context import ClientContext
    from shoal.client.session.session import Session
    from shoal.wire.messages import Inline

__all__ = [
    "AsItIs",
    "Value",
    "error_of",
    "load",
    "load_error",
    "received",
    "unpack",
    "value_at_hand",
]


Value: TypeAlias = "Inline | Blob | AsItIs"


class AsItIs:
    """A value of this very process, handed over without a pickle."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


def received(data: dict[str, Any]) -> dict[str, Blob | AsItIs]:
    """Return the values that came with an answer; those that came over `inproc` are no pickles."""
    return {key: value if type(value) is Blob else AsItIs(value) for key, value in data.items()}


def load(client: ClientContext | None, value: Value) -> Any:
    """Unpickle a result; futures in it become those of `client`."""
    if type(value) in PLAIN_RESULTS:
        return value
    with as_current(client):
        return unpack(value, None if client is None else client._session.deserializers)


def unpack(value: Value, families: list[str] | None = None) -> Any:
    """Unpickle a result; futures in it become those of the current client.

    With `families`, only what these serialized is opened; anything else is a `TypeError`.
    """
    kind = type(value)
    if kind in PLAIN_RESULTS:
        return value
    if isinstance(value, AsItIs):
        found = value.value
        return found.bind() if type(found) is Actor else found
    if families is not None:
        assert isinstance(value, (Blob, bytes))
        blob = value if isinstance(value, Blob) else Blob(value, [])
        return loads_by_families(blob, families)
    if not isinstance(value, Blob):
        return loads_bytes(value)
    found = loads(value)
    if type(found) is Unsendable:
        raise found.error()
    return found


def value_at_hand(session: Session, record: Record) -> Value | None:
    """Return a result that came with the news, as the very object where that is in this process."""
    value = record.value
    if type(value) is not bytes or not session.stores.any_in_reach:
        return value
    for found in session.stores.values(record.key):
        # A key may have had another life; and futures have to become those of the client.
        if _FUTURES not in value and _is_pickle_of(found, value):
            return AsItIs(found)
    return value


_FUTURES = b"shoal.client"  # is in the pickle of each


def _is_pickle_of(found: Any, data: bytes) -> bool:
    try:
        return pickle.dumps(found, 5) == data
    except Exception:  # another object than that of the news
        return False


def error_of(client: ClientContext, record: Record) -> BaseException | None:
    """Return why there is no result; `None` when there is one, or may be one later."""
    # The status may change at any moment, so the reason is looked at by its own kind.
    status, why = record.status, record.why
    if status == ERROR and isinstance(why, Failure):
        error = load_error(client, why.exception, why.traceback)
        # Without one it went wrong here, before there was a task. And a user who asks for the very
        # task knows it: notes are seen by `pytest.raises(match=...)`.
        if why.blame and why.blame != record.key:
            _name_task(error, why.blame)
        return error
    if status == CANCELLED:
        return FutureCancelledError(record.key, _reason(why), "")
    if status == LOST:
        return DataLostError(record.key, _reason(why))
    return None


def load_error(client: ClientContext | None, exception: Blob, frames: Blob) -> BaseException:
    """Unpickle an exception with its traceback; never raises."""
    apart = _load_apart(client, exception, frames)
    try:
        return next(apart)
    finally:
        apart.close()


def _load_apart(
    client: ClientContext | None, exception: Blob, frames: Blob
) -> Generator[BaseException, None, None]:
    """Yield an unpickled exception.

    The frames of tracebacks refer to those that they were made in, and so on up to that of a user
    who asked for the error, and to all in them: the future that failed, which would not end before
    the collector comes. Callers of a generator are not among them once it has yielded.
    """
    try:
        error = load(client, exception)
    except Exception as problem:
        # The worker could unpickle it: a class or module is missing here.
        yield RemoteError(f"the remote exception cannot be unpickled here: {problem!r}")
        return
    if not isinstance(error, BaseException):
        yield RemoteError(f"the remote exception is not an exception but {error!r}")
        return
    with contextlib.suppress(Exception):  # the exception matters more than where it came from
        error = error.with_traceback(load(client, frames))
    yield error


def _name_task(error: BaseException, key: str) -> None:
    """Have the traceback say which task it was: in a graph, nobody called that function here."""
    note = f"Raised by the task {decode_key(key)!r}"
    with contextlib.suppress(Exception):  # users' classes may refuse
        if note not in getattr(error, "__notes__", ()):
            error.add_note(note)


def _reason(why: Failure | str | None) -> str:
    return why if isinstance(why, str) else "unknown"
