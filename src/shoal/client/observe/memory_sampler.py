"""`MemorySampler`: how much memory the cluster uses while a block of code runs.

The scheduler adds up what its workers last told; here that is asked for now and then, and kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from typing import TYPE_CHECKING, Any

from dask.utils import parse_timedelta

from shoal.client.current import given_or_current
from shoal.client.observe.block import ClientBlock

if TYPE_CHECKING:
    import pandas

    from shoal.client.session.context import ClientContext

__all__ = ["MemorySampler", "Sampling"]


class MemorySampler:
    """Sample the memory that all workers use together, for comparison of several runs.

    Attributes
    ----------
    samples : dict
        By label: a list of (seconds since the epoch, bytes).

    Examples
    --------
    >>> ms = MemorySampler()
    >>> with ms.sample("first try"):  # doctest: +SKIP
    ...     x.compute()
    >>> with ms.sample("second try"):  # doctest: +SKIP
    ...     y.compute()
    >>> ms.plot(align=True)  # doctest: +SKIP
    """

    def __init__(self) -> None:
        self.samples: dict[str, list[tuple[float, int]]] = {}

    def __repr__(self) -> str:
        counts = ", ".join(f"{label}: {len(found)}" for label, found in self.samples.items())
        return f"<{type(self).__name__} {counts or 'without samples'}>"

    def sample(
        self,
        label: str | None = None,
        *,
        client: ClientContext | None = None,
        measure: str = "process",
        interval: float | str = 0.5,
    ) -> Sampling:
        """Return a context manager that takes samples; in asynchronous code, use `async with`.

        Parameters
        ----------
        label : str, optional
            Name of the samples; by default a new one.
        client : Client, optional
            Whose cluster; by default the current client's.
        measure : {"process", "managed", "unmanaged", "spilled"}
            To sample: memory of the workers' processes, results in it, the rest of it, or
            results on disk.
        interval : float or str
            Time between two samples. Workers tell their memory about once a second.
        """
        seconds = float(parse_timedelta(interval))
        if seconds <= 0:
            raise ValueError(f"interval must be more than 0 seconds, got {interval!r}")
        return Sampling(self, label or uuid.uuid4().hex, given_or_current(client), measure, seconds)

    def to_pandas(self, *, align: bool = False) -> pandas.DataFrame:
        """Return the samples as a data frame with a column for each label.

        Parameters
        ----------
        align : bool
            Whether time begins with 0 for every label, to compare runs after one another.
        """
        pd = _needed("pandas", "to_pandas")
        columns = {}
        for label, found in self.samples.items():
            times = pd.to_datetime([when for when, _ in found], unit="s")
            values = pd.Series([nbytes for _, nbytes in found], index=times, dtype=float)
            values = values[~values.index.duplicated(keep="last")]
            if align and len(values):
                values.index = values.index - values.index[0]
            columns[label] = values.sort_index()
        frame: pandas.DataFrame = pd.DataFrame(columns)
        # Times differ from label to label; between two samples the line is straight.
        return frame.interpolate(method="time", limit_area="inside") if len(frame) else frame

    def plot(self, *, align: bool = False, **kwargs: Any) -> Any:
        """Draw the samples with matplotlib, in GiB, and return its axes.

        Parameters
        ----------
        align : bool
            As for `to_pandas`.
        **kwargs
            More arguments of `pandas.DataFrame.plot`.
        """
        _needed("matplotlib", "plot")
        frame = self.to_pandas(align=align) / 2**30
        if align and len(frame):
            frame.index = frame.index.total_seconds()  # type: ignore[attr-defined]
        kwargs.setdefault("xlabel", "seconds" if align else "time")
        kwargs.setdefault("ylabel", "cluster memory (GiB)")
        return frame.plot(**kwargs)


class Sampling(ClientBlock[None]):
    """The context manager that `MemorySampler.sample` returns."""

    def __init__(
        self,
        sampler: MemorySampler,
        label: str,
        client: ClientContext,
        measure: str,
        interval: float,
    ) -> None:
        self._sampler = sampler
        self._label = label
        self._client = client
        self._measure = measure
        self._interval = interval
        self._found: list[tuple[float, int]] = []
        self._task: asyncio.Task[None] | None = None

    async def _look(self) -> None:
        nbytes = await self._client.scheduler.cluster_memory(measure=self._measure)
        self._found.append((time.time(), nbytes))

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            # A scheduler that restarts is asked again; a client that ended has no more to say.
            with contextlib.suppress(OSError, RuntimeError):
                await self._look()

    def _client_of_block(self) -> ClientContext:
        return self._client

    async def _begin(self) -> None:
        if self._task is not None:
            raise RuntimeError("this block of samples is in use; call sample() for another")
        await self._client
        await self._look()
        self._task = asyncio.create_task(self._keep_looking())

    async def _end(self, error: BaseException | None) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])
        self._task = None
        with contextlib.suppress(OSError, RuntimeError):
            await self._look()
        self._sampler.samples[self._label] = self._found
        self._found = []


def _needed(name: str, what: str) -> Any:
    try:
        return __import__(name)
    except ImportError:
        raise ImportError(
            f"MemorySampler.{what} needs {name}: python -m pip install {name}"
        ) from None
