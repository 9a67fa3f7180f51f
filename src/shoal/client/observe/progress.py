"""`progress`: bars in a terminal or a notebook, for futures and all that they need.

The scheduler counts and tells; bars draw. Other ways to draw derive from `ProgressBar`.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import time
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, TextIO

from dask.utils import parse_timedelta

from shoal._base.keys import encode_key
from shoal._base.loop import LoopRunner
from shoal.client.current import given_or_current
from shoal.client.futures.future import find_futures
from shoal.comm.base import Comm, connect
from shoal.comm.requests import raise_error
from shoal.diagnostics.bars import Counts, Row, bar_line, group_line
from shoal.diagnostics.widget import ProgressWidget, has_widgets, in_notebook
from shoal.errors import CommClosedError
from shoal.task_context import away

if TYPE_CHECKING:
    from shoal.client.session.context import ClientContext

__all__ = ["ProgressBar", "TextProgressBar", "progress"]

_DONE, _FAILED = "finished", "error"
_CANCELLED = "cancelled"
_INTERRUPTED = "interrupted"


class ProgressBar:
    """Watches how far work is, and draws nothing: that is what subclasses do.

    Parameters
    ----------
    keys : list of futures or keys, or collections
        Whose work to watch, with all that it needs.
    scheduler : str, optional
        Address of the scheduler; that of the futures' client by default.
    interval : float or str
        Time between two looks.
    complete : bool
        False: leave out what is done already at the beginning.
    by : str
        The unit of counting: ``"prefix"``, ``"group"`` or ``"key"``.

    Attributes
    ----------
    counts : Counts
        The last counts that were told.
    status : str
        ``running``, ``finished``, ``error`` when something failed, or ``cancelled`` when tasks were
        cancelled or the cluster restarted.

    Examples
    --------
    >>> class Dots(ProgressBar):
    ...     def _draw_bar(self, remaining, all, **kwargs):
    ...         print(".", end="")
    """

    def __init__(
        self,
        keys: Any,
        scheduler: Any = None,
        interval: float | str = "100ms",
        complete: bool = True,
        by: str = "prefix",
    ) -> None:
        self.keys = _wire_keys(keys)
        self._client = _client_of(keys, scheduler)
        self._held = find_futures(keys)  # watched futures are not given up meanwhile
        if scheduler is None:
            assert self._client is not None
            self._address = None
        else:
            self._address = getattr(scheduler, "address", scheduler)
        self.interval = float(parse_timedelta(interval, default="s"))
        self.complete = complete
        self.by = by
        self.counts = Counts([], False)
        self.status = "running"
        self._start_time = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds since the bar was made."""
        return time.monotonic() - self._start_time

    async def listen(self) -> None:
        """Watch, and draw what is told, until nothing is left to do."""
        self._start_time = time.monotonic()
        try:
            async for counts in self._told():
                self.counts = counts
                self._draw_bar(remaining=counts.remaining, all=counts.all, status=self.status)
            self.status = _FAILED if self.counts.failed else _DONE
            if self.counts.dropped:
                self.status = _CANCELLED
        except BaseException:
            self.status = _INTERRUPTED
            raise
        finally:
            self._held.clear()
            self._draw_stop(remaining=self.counts.remaining, status=self.status)

    async def _told(self) -> AsyncIterator[Counts]:
        client = self._client
        arguments: dict[str, Any] = {}
        if client is not None:
            await client
            client._session.outbox.drain()
            arguments = client.connection_args
        while True:
            comm = await self._connect(arguments)
            try:
                await comm.write(
                    {
                        "op": "progress",
                        "keys": self.keys,
                        "by": self.by,
                        "interval": self.interval,
                        "complete": self.complete,
                    }
                )
                while True:
                    told = await comm.read()
                    if "groups" not in told:
                        raise_error(told)
                    rows = [Row(*row) for row in told["groups"]]
                    yield Counts(rows, told["done"], told["dropped"])
                    if told["done"]:
                        return
            except CommClosedError:
                # A scheduler that was started anew is asked again; one that is gone refuses.
                if client is None or client._session.ended is not None:
                    raise
            finally:
                comm.abort()
                if client is not None and client.rpc is not None and self._address is None:
                    client.rpc.reuse(client.scheduler.address, comm)

    async def _connect(self, arguments: dict[str, Any]) -> Comm:
        if self._address is not None:
            return await connect(self._address, **arguments)
        assert self._client is not None and self._client.rpc is not None
        # Through the client, whose end ends this, too: one need not wait to learn of it.
        return await self._client.rpc.connect(self._client.scheduler.address)

    def _draw_bar(self, remaining: int, all: int, **kwargs: Any) -> None:
        """Draw; called with each news."""

    def _draw_stop(self, remaining: int, status: str, **kwargs: Any) -> None:
        """Draw for the last time."""


class TextProgressBar(ProgressBar):
    """A bar in a line of text.

    Parameters
    ----------
    keys, scheduler, interval, complete, by
        As those of `ProgressBar`.
    width : int
        Of the bar, in characters.
    loop : event loop, optional
        Where to watch, when `start` is true.
    start : bool
        Begin at once, and block until it is done, except in asynchronous code. Else call `listen`.
    file : file, optional
        Where to write; the standard output by default. One that is not a terminal gets the last
        line only, unless it is given here.
    multi : bool
        Say how far each kind of work is.

    Examples
    --------
    >>> TextProgressBar(futures)  # doctest: +SKIP
    [########################################] | 100% Completed |  1.70 s
    """

    def __init__(
        self,
        keys: Any,
        scheduler: Any = None,
        interval: float | str = "100ms",
        width: int = 40,
        loop: Any = None,
        complete: bool = True,
        start: bool = True,
        file: TextIO | None = None,
        multi: bool = False,
        by: str = "prefix",
        label: Callable[[Any], Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(keys, scheduler, interval, complete, by)
        self.width = width
        self.file = sys.stdout if file is None else file
        self.multi = multi
        self._relabel = label
        self._moves = file is not None or self.file.isatty() or in_notebook()
        self._longest = 0
        self._task: asyncio.Task[None] | None = None
        if start:
            self._begin(loop)

    def _begin(self, loop: Any) -> None:
        try:
            running = asyncio.get_running_loop()
        except RuntimeError:
            client = self._client
            runner = LoopRunner(client.loop if loop is None and client is not None else loop)
            with away():
                runner.run_sync(self.listen)
            runner.stop()
        else:
            self._task = running.create_task(_quietly(self))

    def _draw_bar(self, remaining: int, all: int, **kwargs: Any) -> None:
        if self._moves and all:
            self._write(self._line(remaining, all), "\r")

    def _draw_stop(self, remaining: int, status: str, **kwargs: Any) -> None:
        if not self.counts.all and status == _INTERRUPTED:
            return  # nothing was told: there is nothing to show
        self._write(self._line(remaining, self.counts.all), "\r" if self._moves else "")
        self.file.write("\n")
        self.file.flush()

    def _line(self, remaining: int, all: int) -> str:
        rows = _relabelled(self.counts.rows, self._relabel)
        if not self.multi or len(rows) < 2:
            return bar_line(remaining, all, self.elapsed, self.width)
        columns = shutil.get_terminal_size().columns - 1
        line = bar_line(remaining, all, self.elapsed, max(10, min(self.width, columns - 65)))
        return f"{line} | {group_line(rows, columns - len(line) - 3)}"

    def _write(self, line: str, before: str) -> None:
        self.file.write(before + line.ljust(self._longest if before else 0))
        self._longest = max(self._longest, len(line))
        self.file.flush()


class _WidgetBar(ProgressBar):
    """Tells a widget."""

    def __init__(
        self, *args: Any, widget: ProgressWidget, label: Callable[[Any], Any] | None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._widget = widget
        self._relabel = label

    def _draw_bar(self, remaining: int, all: int, **kwargs: Any) -> None:
        rows = _relabelled(self.counts.rows, self._relabel)
        self._widget.draw(Counts(rows, self.counts.done), self.elapsed)

    def _draw_stop(self, remaining: int, status: str, **kwargs: Any) -> None:
        self._widget.stop(status, self.elapsed)


def progress(
    *futures: Any,
    notebook: bool | None = None,
    multi: bool = True,
    complete: bool = True,
    group_by: Callable[[Any], Any] | str = "prefix",
    **kwargs: Any,
) -> Any:
    """Show how far the work for futures is, and for all that they need.

    In a terminal this blocks until everything is done; in asynchronous code, await it. In a
    notebook it returns a widget at once, which has to be the last value of its cell.

    Parameters
    ----------
    *futures : futures, keys, collections, or lists of these
        The futures to watch.
    notebook : bool, optional
        Whether to make a widget (extra ``jupyter``); by default where Jupyter is, and ipywidgets.
    multi : bool
        Tell the kinds of work apart.
    complete : bool
        False: leave out what is done already.
    group_by : str or callable
        The unit of counting: ``"prefix"``, ``"group"``, or a function that gets a key.
    **kwargs
        Of `TextProgressBar`: `interval`, `width`, `file`.

    Examples
    --------
    >>> progress(futures)  # doctest: +SKIP
    [########################################] | 100% Completed |  1.70 s
    """
    if not futures:
        raise ValueError("progress needs futures, such as progress(x.persist())")
    by, label = ("key", group_by) if callable(group_by) else (group_by, None)
    if by not in ("prefix", "group", "key"):
        raise ValueError(f"group_by= is 'prefix', 'group' or a function of keys, got {group_by!r}")
    watched = list(futures)
    if notebook is None:
        notebook = in_notebook() and has_widgets()
    if notebook:
        return _show_widget(watched, multi, complete, by, label, kwargs)
    bar = TextProgressBar(
        watched, complete=complete, multi=multi, by=by, label=label, start=False, **kwargs
    )
    client = bar._client
    if client is None:
        return LoopRunner(kwargs.get("loop")).run_sync(bar.listen)
    with away():
        return client.sync(bar.listen)


def _show_widget(
    watched: list[Any],
    multi: bool,
    complete: bool,
    by: str,
    label: Callable[[Any], Any] | None,
    kwargs: dict[str, Any],
) -> Any:
    shown = ProgressWidget(multi)
    chosen = {k: v for k, v in kwargs.items() if k in ("scheduler", "interval")}
    bar = _WidgetBar(watched, complete=complete, by=by, widget=shown, label=label, **chosen)
    client = bar._client or given_or_current()
    loop = client._session.loop
    assert loop is not None

    def begin() -> None:
        shown.task = loop.create_task(_quietly(bar))

    loop.call_soon_threadsafe(begin)
    return shown.widget


async def _quietly(bar: ProgressBar) -> None:
    """Watch; the widget says that it was interrupted, and there is nobody to raise at."""
    try:
        await bar.listen()
    except (OSError, RuntimeError):
        pass


def _relabelled(rows: list[Row], label: Callable[[Any], Any] | None) -> list[Row]:
    if label is None:
        return rows
    total: dict[Any, Row] = {}
    for row in rows:
        name = label(row.label)
        old = total.get(name, Row(name, 0, 0, 0))
        total[name] = Row(name, old.done + row.done, old.total + row.total, old.failed + row.failed)
    return list(total.values())


def _client_of(keys: Any, scheduler: Any) -> ClientContext | None:
    """Return the client of the futures, else the current one, unless an address is given."""
    for future in find_futures(keys):
        return future._session.client
    if scheduler is not None:
        return None
    return given_or_current()


def _wire_keys(items: Any) -> list[str]:
    """Return the keys of futures, collections, keys, and lists of these, as they travel."""
    found = {future._record.key: None for future in find_futures(items)}
    todo = [items]
    while todo:
        item = todo.pop()
        if isinstance(item, tuple) and not find_futures(item):
            found[encode_key(item)] = None  # tuples are keys where no future is in them
        elif isinstance(item, (list, tuple, set, frozenset)):
            todo += item
        elif isinstance(item, dict):
            todo += item.values()
        elif isinstance(item, (str, bytes, int)):
            found[encode_key(item)] = None
    return list(found)
