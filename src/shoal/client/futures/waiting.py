"""`wait`: block, or await, until futures are done."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

from dask.base import is_dask_collection

from shoal.client.core.state import CANCELLED, DONE, LOST, Record
from shoal.client.current import current_client
from shoal.client.futures.as_completed import as_completed
from shoal.client.futures.future import Future, futures_of, is_empty, seconds_or_none
from shoal.client.futures.late import late, late_async
from shoal.client.futures.outcome import error_of

__all__ = ["ALL_COMPLETED", "FIRST_COMPLETED", "DoneAndNotDoneFutures", "wait", "wait_async"]

ALL_COMPLETED = "ALL_COMPLETED"
FIRST_COMPLETED = "FIRST_COMPLETED"


class DoneAndNotDoneFutures(NamedTuple):
    """The result of `wait`."""

    done: set[Future]
    not_done: set[Future]


def wait(fs: Any, timeout: float | str | None = None, return_when: str = ALL_COMPLETED) -> Any:
    """Wait until all futures, or the first, are done: finished, failed or cancelled.

    Parameters
    ----------
    fs : Future, or collection of futures
        The futures to wait for.
    timeout : float or str, optional
        Seconds, or a text such as ``"5s"``.
    return_when : {"ALL_COMPLETED", "FIRST_COMPLETED"}
        When to return.

    Returns
    -------
    DoneAndNotDoneFutures
        Two sets, `done` and `not_done`. In asynchronous code: an awaitable of it.

    Raises
    ------
    TimeoutError
        When the time is over first.
    CancelledError
        When one of the futures was cancelled.

    Examples
    --------
    >>> done, not_done = wait(futures, return_when="FIRST_COMPLETED")  # doctest: +SKIP
    """
    if return_when not in (ALL_COMPLETED, FIRST_COMPLETED):
        raise ValueError(f"return_when= is ALL_COMPLETED or FIRST_COMPLETED, got {return_when!r}")
    if isinstance(fs, Iterator):
        fs = list(fs)  # futures that are made meanwhile
    futures = futures_of(fs)
    seconds = seconds_or_none(timeout)
    enough = 1 if return_when == FIRST_COMPLETED else None
    if not futures:
        _warn_of_no_futures(fs)
        return _nothing()
    session = futures[0]._session
    if session.asynchronous:
        return wait_async(futures, seconds, enough)
    records = [future._record for future in futures]
    if any(future._session is not session for future in futures):
        _wait_for_several(futures, seconds, enough)
    elif not session.block(records, seconds, enough):
        raise late(session.client, *_late(records, seconds))
    return _split(futures)


async def wait_async(
    futures: list[Future], seconds: float | None, enough: int | None
) -> DoneAndNotDoneFutures:
    """Wait until all of some futures are done, or `enough` of them."""
    session = futures[0]._session
    records = [future._record for future in futures]
    if any(future._session is not session for future in futures):
        coming = as_completed(futures, timeout=seconds)
        async for _ in coming:
            if enough is not None and len(futures) - coming.count() >= enough:
                break
    elif not await session.until(records, seconds, enough):
        raise await late_async(session.client, *_late(records, seconds))
    return _split(futures)


def _wait_for_several(futures: list[Future], seconds: float | None, enough: int | None) -> None:
    """Block until futures of several clients are done."""
    coming = as_completed(futures, timeout=seconds)
    for _ in coming:
        if enough is not None and len(futures) - coming.count() >= enough:
            return


def _nothing() -> Any:
    """Return what there is to say of no futures: awaitable where the current client is."""
    nothing = DoneAndNotDoneFutures(set(), set())

    async def nothing_later() -> DoneAndNotDoneFutures:
        return nothing

    try:
        return nothing_later() if current_client().asynchronous else nothing
    except ValueError:
        return nothing


def _warn_of_no_futures(fs: Any) -> None:
    """Say that there is nothing to wait for in what was given, unless it is just empty."""
    if is_empty(fs):
        return
    hint = "; compute or persist it first" if is_dask_collection(fs) else ""
    warnings.warn(
        f"wait() waits for nothing: there are no futures in {type(fs).__name__} {fs!r:.100}{hint}",
        stacklevel=3,
    )


def _late(records: list[Record], seconds: float | None) -> tuple[str, str]:
    """Return what is not done, and the key of the first of these."""
    left = [record.key for record in records if record.status not in DONE]
    text = f"{len(left)} of {len(records)} futures are not done, waited {seconds} s"
    return text, left[0] if left else records[0].key


def _split(futures: list[Future]) -> DoneAndNotDoneFutures:
    statuses = {future._record.status for future in futures}
    if CANCELLED in statuses or LOST in statuses:
        for future in futures:
            if future.cancelled():
                error = error_of(future.client, future._record)
                if error is not None:
                    raise error
    if statuses <= DONE:
        return DoneAndNotDoneFutures(set(futures), set())
    done = {future for future in futures if future._record.status in DONE}
    return DoneAndNotDoneFutures(done, set(futures) - done)
