"""`performance_report`: what happened on the cluster during a block, as a file to keep or send."""

from __future__ import annotations

import importlib
import inspect
import logging
import os
import sys
import time
from bisect import bisect_right
from types import FrameType
from typing import TYPE_CHECKING, Any

from dask.utils import format_bytes, format_time

from shoal import config
from shoal._base.versions import own_versions
from shoal.client.current import given_or_current
from shoal.client.observe import activity
from shoal.client.observe.block import ClientBlock
from shoal.diagnostics.page import Page
from shoal.diagnostics.profile import merge
from shoal.diagnostics.profile_page import small
from shoal.diagnostics.recording import RecordedPage
from shoal.diagnostics.reprs import facts_of_workers
from shoal.diagnostics.stream_recording import (
    kinds_of,
    stream_frame,
    transfers_of,
    transfers_told,
)

if TYPE_CHECKING:
    from shoal.client.session.context import ClientContext

__all__ = ["performance_report"]

logger = logging.getLogger("shoal.client")

_PAGES = (
    "summary",
    "tasks",
    "profile",
    "profile-workers",
    "profile-server",
    "transfers",
    "history",
    "system",
)


class performance_report(ClientBlock["performance_report"]):
    """Context manager: write what the cluster does meanwhile into an HTML file.

    The file is the dashboard's page, with what was recorded: a summary, the task stream, profiles
    of the tasks, the workers and the scheduler, memory and processor over time, and the data that
    went between workers. It needs nothing else, and no network, to be looked at.

    Parameters
    ----------
    filename : str or path
        Where to write, or an URL that `fsspec` knows how to write to.
    stacklevel : int
        Whose code is shown in the report: 1 is that of the caller, 2 that of its caller.
    mode : str, optional
        Accepted for compatibility; the file always has all that it needs.
    storage_options : dict, optional
        Of the file system, for URLs.
    client : Client, optional
        The current one by default.

    Attributes
    ----------
    page : Page or None
        The report, after the block.

    Examples
    --------
    >>> with performance_report(filename="report.html"):  # doctest: +SKIP
    ...     x.compute()
    """

    def __init__(
        self,
        filename: str | os.PathLike[str] = "dask-report.html",
        stacklevel: int = 1,
        mode: str | None = None,
        storage_options: dict[str, Any] | None = None,
        client: ClientContext | None = None,
    ) -> None:
        self.filename = filename
        self.client = client
        self.page: Page | None = None
        self._storage_options = storage_options or {}
        self._start = 0.0
        self._code = _code_of(sys._getframe(1), stacklevel)

    def _client_of_block(self) -> ClientContext:
        if self.client is None:
            self.client = given_or_current()
        return self.client

    async def _begin(self) -> performance_report:
        self._start = time.time()
        # It records from now on.
        client = self._client_of_block()
        await activity.task_stream(client, 0, 0, None, False, "")
        await client.scheduler.history(start=self._start)
        return self

    async def _end(self, error: BaseException | None) -> None:
        try:
            await self._gather()
            self._write()
        except Exception as late:
            self._too_late(late, error)

    async def _gather(self) -> None:
        client, start, stop = self._client_of_block(), self._start, time.time()
        records = await activity.task_stream(client, start, None, None, False, "")
        transfers = transfers_of(records)
        profiles = {
            "profile": await client.scheduler.profile(start=start),
            "profile server=true": await client.scheduler.profile(start=start, server=True),
            "profile own=true": await client.scheduler.profile(start=start, own=True),
        }
        numbers = await client.scheduler.history(start=start - 2)
        identity = await client.scheduler.identity()
        facts = {
            "Duration": format_time(stop - start),
            "From": time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(start)),
            **_facts_of(records),
            "Data between workers": _sum_of(transfers),
            "Scheduler": identity["address"],
            **facts_of_workers(identity["workers"]),
            **_versions(),
        }
        told = [(name, str(value)) for name, value in facts.items()]
        frame = stream_frame(records, identity["workers"], _together(numbers, start), stop)
        answers = {
            "summary": {"facts": told, "work": kinds_of(records), "code": self._code},
            "transfers": transfers_told(transfers),
            **{question: small(merge(trees.values())) for question, trees in profiles.items()},
        }
        self.page = RecordedPage("Performance report", _PAGES, [frame], answers)

    def _write(self) -> None:
        assert self.page is not None
        name = os.fspath(self.filename)
        if "://" not in name:
            self.page.save(name)
            return
        fsspec = importlib.import_module("fsspec")
        with fsspec.open(name, "w", encoding="utf-8", **self._storage_options) as file:
            file.write(self.page.html)

    def _too_late(self, late: Exception, error: BaseException | None) -> None:
        """Raise what kept the report from being written, unless the block failed already."""
        if error is None:
            raise late
        logger.warning("no report was written to %s: %s", self.filename, late)


def _facts_of(records: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the sums of a task stream."""
    times = dict.fromkeys(("compute", "transfer", "deserialize"), 0.0)
    for record in records:
        for span in record["startstops"]:
            times[span["action"]] += span["stop"] - span["start"]
    limit = config.get_int("distributed.scheduler.dashboard.tasks.task-stream-length")
    cut = f" (the last ones; no more than {limit} are kept)" if len(records) >= limit else ""
    failed = sum(record["status"] == "error" for record in records)
    return {
        "Tasks": f"{len(records)}{cut}",
        "Failed": failed,
        "Time in tasks": format_time(times["compute"]),
        "Time to unpickle": format_time(times["deserialize"]),
    }


def _together(numbers: dict[str, Any], start: float) -> dict[str, Any]:
    """Return the numbers of the cluster at the times of those of the scheduler's process."""
    own = numbers["own"]
    kept = [i for i, when in enumerate(own["time"]) if when >= start] or [len(own["time"]) - 1]
    times = [own["time"][i] for i in kept]
    rows = [max(0, bisect_right(numbers["times"], when) - 1) for when in times]
    columns = {name: [column[row] for row in rows] for name, column in numbers["columns"].items()}
    for name, values in own.items():
        # A quantity that was measured later, such as GPUs', has fewer values.
        if name != "time" and len(values) == len(own["time"]):
            columns[f"own.{name}"] = [values[i] for i in kept]
    return {"times": times, "columns": columns}


def _sum_of(transfers: list[Any]) -> str:
    nbytes = sum(transfer.nbytes for transfer in transfers)
    seconds = sum(transfer.stop - transfer.start for transfer in transfers)
    if not transfers:
        return "none"
    rate = format_bytes(int(nbytes / max(seconds, 1e-9)))
    took = format_time(seconds)
    return f"{format_bytes(nbytes)} in {len(transfers)} transfers of {took} together, {rate}/s"


def _versions() -> dict[str, str]:
    packages = own_versions().get("packages", {})
    names = ("python", "shoal", "dask", "numpy", "pandas")
    known = [f"{name} {packages[name]}" for name in names if packages.get(name)]
    return {"Versions": ", ".join(known)} if known else {}


def _code_of(frame: FrameType | None, stacklevel: int) -> str:
    """Return the source of a caller, where there is one."""
    for _ in range(stacklevel - 1):
        frame = frame.f_back if frame is not None else None
    if frame is None:
        return ""
    try:
        return inspect.getsource(frame)
    except (OSError, TypeError):  # typed in, or a part of a program without its source
        return ""
