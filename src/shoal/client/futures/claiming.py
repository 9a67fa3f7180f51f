"""Futures of other clients of the same scheduler: this client claims their results too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.client.core.state import CANCELLED, LOST, Record
from shoal.client.futures.future import Future, make_future
from shoal.client.futures.outcome import error_of
from shoal.errors import FutureCancelledError

if TYPE_CHECKING:
    from shoal.client.session.session import Session

__all__ = ["check_usable", "claimed"]


def claimed(session: Session, future: Future) -> Future:
    """Return a future of the same key that is the session's: the future itself, where it is.

    The scheduler keeps the result until the new future is gone too. It may hear of the claim before
    it hears of the task, and waits for that.

    Raises
    ------
    ValueError
        When the future belongs to another scheduler.
    CancelledError
        When there is nothing to claim any more.
    """
    home = future._session
    if home is session:
        return future
    check_usable(future, "It belongs to another client.")
    if home.ended is not None:
        raise FutureCancelledError(future._record.key, f"its client is gone: {home.ended}")
    here, there = session.machine.state.scheduler, home.machine.state.scheduler
    if here and there and here != there:
        raise ValueError(
            f"{future!r} belongs to a client of another scheduler; gather its result there, and "
            "use that"
        )
    return make_future(session, session.share(Record(future._record.key)))


def check_usable(future: Future, where: str) -> None:
    """Raise why the result of a future cannot be used any more, if it cannot.

    Parameters
    ----------
    future : Future
        The futures that a caller wants to use.
    where : str
        The purpose, as a sentence.
    """
    record = future._record
    if record.status == CANCELLED:
        raise FutureCancelledError(record.key, str(record.why), where)
    if record.status == LOST:
        error = error_of(future.client, record)
        if error is not None:
            raise error
    if not future._held:
        raise FutureCancelledError(record.key, "this future was released")
