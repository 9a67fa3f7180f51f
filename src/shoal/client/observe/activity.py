"""Present and past activity of the cluster: call stacks, profiles, task streams."""

from __future__ import annotations

import datetime
import time
from typing import TYPE_CHECKING, Any

from dask.utils import parse_timedelta

from shoal._base.keys import decode_key
from shoal._base.numbers import whole_number
from shoal.client.admin.requests import keys_in
from shoal.client.current import given_or_current
from shoal.client.observe.block import ClientBlock
from shoal.client.submission.submit import as_workers
from shoal.diagnostics.profile import merge
from shoal.diagnostics.profile_page import profile_page
from shoal.diagnostics.stream_recording import stream_page

if TYPE_CHECKING:
    from shoal.client.session.context import ClientContext, SchedulerAccess

__all__ = ["call_stack", "get_task_stream", "profile", "task_stream"]


async def call_stack(
    client: SchedulerAccess, futures: Any, keys: Any
) -> dict[str, dict[Any, tuple[str, ...]]]:
    """Return what tasks execute, by worker and key."""
    wanted: list[str] | None = None
    if futures is not None or keys is not None:
        wanted = [*(keys_in(futures) or []), *(keys_in(keys) or [])]
    await client
    found = await client.scheduler.call_stack(keys=wanted)
    return {
        address: {decode_key(key): tuple(lines) for key, lines in stacks.items()}
        for address, stacks in found.items()
    }


async def profile(
    client: SchedulerAccess,
    *,
    key: str | None,
    start: Any,
    stop: Any,
    workers: Any,
    merge_workers: bool,
    plot: bool | str,
    filename: str | None,
    server: bool,
    scheduler: bool,
) -> Any:
    """Return a profile tree, or trees by worker; with a page where that is asked for."""
    _check_plot(plot)
    since, until = _moment("start", start), _moment("stop", stop)
    await client
    trees = await client.scheduler.profile(
        key=key,
        start=since,
        stop=until,
        workers=None if workers is None else as_workers(workers),
        server=server,
        own=scheduler,
    )
    total = merge(trees.values())
    result = total if merge_workers or scheduler else trees
    if not plot and filename is None:
        return result
    what = "the scheduler" if scheduler else "workers' own work" if server else key or "tasks"
    page = profile_page(total, f"Profile of {what}")
    if filename is not None or plot == "save":
        page.save(filename or "dask-profile.html")
    return result, page


async def task_stream(
    client: SchedulerAccess,
    start: Any,
    stop: Any,
    count: int | None,
    plot: bool | str,
    filename: str,
) -> Any:
    """Return what ran, with a page where that is asked for."""
    _check_plot(plot)
    if count is not None:
        count = whole_number("count=, the number of records,", count, 0)
    since, until = _moment("start", start), _moment("stop", stop)
    await client
    records = await client.scheduler.task_stream(start=since, stop=until, count=count)
    for record in records:
        record["startstops"] = list(record["startstops"])
    if not plot:
        return records
    page = stream_page(records)
    if plot == "save":
        page.save(filename)
    return records, page


def _moment(name: str, when: Any) -> float | None:
    """Return seconds since the epoch: a number is that, a text or timedelta is so long ago."""
    if when is None or (isinstance(when, (int, float)) and not isinstance(when, bool)):
        return when
    if isinstance(when, datetime.datetime):
        return when.timestamp()
    problem = (
        f"{name}= is seconds since the epoch, or a time before now such as '60s', got {when!r}"
    )
    if not isinstance(when, (str, datetime.timedelta)):
        raise TypeError(problem)
    try:
        ago = float(parse_timedelta(when, default="s"))
    except (KeyError, ValueError):
        raise ValueError(problem) from None
    if ago < 0:
        raise ValueError(f"{problem}, which is in the future")
    return time.time() - ago


def _check_plot(plot: Any) -> None:
    if not isinstance(plot, bool) and plot is not None and plot != "save":
        raise ValueError(f"plot= is True, False or 'save', got {plot!r}")


class get_task_stream(ClientBlock["get_task_stream"]):
    """Context manager: record what tasks run meanwhile.

    Parameters
    ----------
    client : Client, optional
        The current one by default.
    plot : bool or str
        Draw a page as well (`figure`); ``"save"`` writes it to a file.
    filename : str
        That file.

    Attributes
    ----------
    data : list of dict
        The runs, after the block.
    figure : Page or None
        The page.

    See Also
    --------
    Client.get_task_stream : the same without a block

    Examples
    --------
    >>> with get_task_stream(plot="save", filename="task-stream.html") as ts:  # doctest: +SKIP
    ...     x.compute()
    >>> ts.data  # doctest: +SKIP
    [...]
    """

    def __init__(
        self,
        client: ClientContext | None = None,
        plot: bool | str = False,
        filename: str = "task-stream.html",
    ) -> None:
        _check_plot(plot)
        self.client = given_or_current(client)
        self.data: list[dict[str, Any]] = []
        self.figure: Any = None
        self._plot = plot
        self._filename = filename
        self._start = 0.0

    def _client_of_block(self) -> ClientContext:
        return self.client

    async def _begin(self) -> get_task_stream:
        self._start = time.time()
        await task_stream(self.client, 0, 0, None, False, "")  # it records from now on
        return self

    async def _end(self, error: BaseException | None) -> None:
        answer = await task_stream(self.client, self._start, None, None, self._plot, self._filename)
        if self._plot:
            records, self.figure = answer
        else:
            records = answer
        self.data.extend(records)
