"""A worker's methods, by the documented names."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from shoal._base.keys import decode_key, encode_key
from shoal._base.numbers import amounts
from shoal.comm.base import Comm
from shoal.comm.function_calls import run_on
from shoal.plugins.hooks import name_of
from shoal.plugins.placing import place
from shoal.task_context import on_worker
from shoal.wire.blob import Blob
from shoal.wire.failures import pack_failure
from shoal.wire.pickling import dumps
from shoal.worker import core
from shoal.worker.store.sizing import describe
from shoal.worker.views.attributes import WorkerAttributes

__all__ = ["WorkerMethods"]


class WorkerMethods(WorkerAttributes):
    """The part of `Worker` that tasks, plugins and functions in its process call."""

    # -- tasks and data --------------------------------------------------------------------

    def keys(self) -> list[Any]:
        """Return the keys of the data that is here."""
        return [decode_key(key) for key in self.store]

    def stateof(self, key: Any) -> dict[str, bool]:
        """Return where a key is: executing, waiting for data, in the queue, here."""
        state = self.state.tasks[key].state if key in self.state.tasks else ""
        return {
            "executing": state in ("executing", "long-running"),
            "waiting_for_data": state == "waiting",
            "heap": state in ("ready", "constrained"),
            "data": key in self.data,
        }

    def get_call_stack(self, keys: Iterable[Any] | None = None) -> dict[Any, list[str]]:
        """Return what tasks execute at this moment, by key; of all tasks by default."""
        chosen = None if keys is None else [encode_key(key) for key in keys]
        found = self.profiler.call_stack(chosen)
        return {decode_key(key): stack for key, stack in found.items()}

    async def get_profile(
        self,
        start: float | None = None,
        stop: float | None = None,
        key: str | None = None,
        server: bool = False,
    ) -> dict[str, Any]:
        """Return where tasks, or with `server` this worker itself, spent their time."""
        return self.profiler.collect(key, start, stop, server)

    def update_data(
        self, data: Mapping[Any, Any], stimulus_id: str | None = None
    ) -> dict[str, Any]:
        """Store values, and tell the scheduler; return their sizes.

        They are not kept there unless a client or a task wants them.
        """
        values = {encode_key(key): value for key, value in data.items()}
        described = {key: describe(value) for key, value in values.items()}
        sizes = [nbytes for nbytes, _ in described.values()]
        types = [kind for _, kind in described.values()]
        self.feed(core.DataAdded(list(values), sizes, types), values)
        return {"nbytes": dict(zip(data, sizes, strict=True)), "status": "OK"}

    async def gather(self, who_has: Mapping[Any, list[str]]) -> dict[str, Any]:
        """Fetch values from other workers and store them here.

        Returns
        -------
        dict
            ``{"status": "OK"}``; or ``"partial-fail"``, and in `keys` those that are not there.
        """
        found, missing = await self.exchange.gather(
            {encode_key(key): list(where) for key, where in who_has.items()}
        )
        self.update_data({decode_key(key): value for key, value in found.items()})
        if not missing:
            return {"status": "OK"}
        return {"status": "partial-fail", "keys": tuple(decode_key(key) for key in missing)}

    # -- telling the scheduler and clients -------------------------------------------------

    async def get_metrics(self) -> dict[str, Any]:
        """Return what is told with each heartbeat."""
        return await self.report.measure()

    async def get_startup_information(self) -> dict[str, Any]:
        """Return what is told when it joins."""
        return await self.report.introduce()

    async def heartbeat(self) -> None:
        """Tell the scheduler at once how this worker is."""
        await self.say_how_it_is()

    def get_monitor_info(self, recent: bool = False, start: int = 0) -> dict[str, Any]:
        """Return what `monitor` measured: all from a number on, or what was last."""
        monitor = self.monitor
        found = monitor.recent() if recent else monitor.range_query(start)
        return {**found, "last_time": monitor.last_time}

    # -- users' code -----------------------------------------------------------------------

    async def run(
        self,
        comm: Comm | None,
        function: Any,
        args: Any = (),
        wait: bool = True,
        kwargs: Any = None,
    ) -> dict[str, Any]:
        """Call a function here, on the loop; it gets the worker as `dask_worker` if it takes it."""
        given = (function, args, kwargs or {})
        call, positional, keywords = (x if isinstance(x, Blob) else dumps(x) for x in given)
        with on_worker(self):
            return await run_on(self, "dask_worker", call, positional, keywords, wait)

    run_coroutine = run

    async def plugin_add(
        self, plugin: Any, name: str | None = None, catch_errors: bool = True
    ) -> dict[str, Any]:
        """Add a plugin and set it up; an older one of the same name is torn down first.

        Parameters
        ----------
        plugin : WorkerPlugin
            The plugin, pickled or not.
        name : str, optional
            Its name.
        catch_errors : bool
            Whether an error of its `setup` is returned, and not raised.
        """
        if isinstance(plugin, Blob):
            return await self.plugin_host.add_remote(plugin, name_of(None, name))
        try:
            await self.plugin_host.add(plugin, name)
        except Exception as error:
            if not catch_errors:
                raise
            failure = pack_failure(error)
            return {
                "status": "error",
                "exception": failure.exception,
                "traceback": failure.traceback,
                "text": failure.exception_text,
            }
        return {"status": "OK"}

    async def plugin_remove(self, name: str) -> dict[str, Any]:
        """Tear a plugin down and forget it."""
        return await self.plugin_host.remove(name)

    async def upload_file(self, filename: str, data: Any, load: bool = True) -> dict[str, Any]:
        """Write a file into the worker's folder, and make it importable; see `UploadFile`."""
        content = data.encode() if isinstance(data, str) else bytes(data)
        folder = Path(self.local_directory)
        place(os.path.basename(filename), content, folder, load)
        return {"status": "OK", "nbytes": len(content)}

    async def set_resources(self, **resources: float) -> None:
        """Change what tasks may ask for: ``await worker.set_resources(GPU=2)``.

        Tasks that run keep what they have taken.
        """
        self.resources.update(amounts("resources=", resources))
        self.feed(core.ResourcesSet(dict(self.resources)))
