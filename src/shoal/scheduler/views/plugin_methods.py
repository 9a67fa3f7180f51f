"""Methods of a scheduler that are about plugins, by the documented names."""

from __future__ import annotations

import inspect
import os
import tempfile
from pathlib import Path
from typing import Any

from shoal.comm.base import Comm
from shoal.plugins.hooks import name_of
from shoal.plugins.placing import place
from shoal.scheduler.operations import functions, metadata
from shoal.scheduler.operations import plugins as operations
from shoal.scheduler.views.attributes import SchedulerAttributes
from shoal.wire.blob import Blob
from shoal.wire.pickling import dumps
from shoal.wire.serialize.wrappers import Serialized
from shoal.worker.directory import scratch_space

__all__ = ["PluginMethods"]


class PluginMethods(SchedulerAttributes):
    """Plugins of the scheduler itself, and those that it gives to workers and nannies."""

    _directory: tempfile.TemporaryDirectory[str] | None = None

    # -- its own ---------------------------------------------------------------------------

    @property
    def plugins(self) -> dict[str, Any]:
        """The scheduler's own plugins by name."""
        return self.own_plugins.plugins

    def add_plugin(
        self, plugin: Any, *, idempotent: bool = False, name: str | None = None, **kwargs: Any
    ) -> None:
        """Tell a plugin of all that happens from now on.

        Its `start` is not called: whoever adds a plugin here has the scheduler at hand.
        `Client.register_plugin` and ``Scheduler(plugins=)`` do call it.

        Parameters
        ----------
        plugin : SchedulerPlugin
            The plugin.
        idempotent : bool
            Whether an older one of the same name stays, and not this one.
        name : str, optional
            Its name; its attribute `name` by default.
        **kwargs
            Of the plugin's class, where a class is given.

        Examples
        --------
        >>> def dask_setup(scheduler):  # of a preload
        ...     scheduler.add_plugin(MyPlugin())
        """
        if isinstance(plugin, type):
            plugin = plugin(**kwargs)
        elif kwargs:
            raise TypeError(f"add_plugin() got unknown arguments: {', '.join(kwargs)}")
        own = self.own_plugins
        name = name_of(plugin, name)
        if not (idempotent and name in own.plugins):
            own.put(plugin, name)

    def remove_plugin(self, name: str) -> None:
        """Tell a plugin of nothing any more; its `close` runs.

        Raises
        ------
        ValueError
            When there is none of that name.
        """
        closing = self.own_plugins.take_out(name)
        if inspect.isawaitable(closing):
            self.background(_awaited(closing))

    async def register_scheduler_plugin(
        self, plugin: Any, name: str | None = None, idempotent: bool | None = None
    ) -> None:
        """Add a plugin, pickled or not, and run its `start`; see `Client.register_plugin`."""
        if isinstance(plugin, (Blob, bytes, Serialized)):
            plugin = functions.open_pickle(plugin, "takes no plugins of clients")
        if idempotent is None:
            idempotent = bool(getattr(plugin, "idempotent", False))
        await self.own_plugins.add(plugin, name_of(plugin, name), idempotent)

    async def unregister_scheduler_plugin(self, name: str) -> None:
        """Close a plugin and forget it."""
        await self.own_plugins.remove(name)

    # -- plugins of workers and nannies ----------------------------------------------------

    @property
    def worker_plugins(self) -> dict[str, Any]:
        """The plugins of workers, pickled, by name."""
        return dict(self.plugin_registry(False).plugins)

    @property
    def nanny_plugins(self) -> dict[str, Any]:
        """The plugins of nannies, pickled, by name."""
        return dict(self.plugin_registry(True).plugins)

    async def register_worker_plugin(
        self, comm: Comm | None, plugin: Any, name: str | None = None, idempotent: bool = False
    ) -> dict[str, Any]:
        """Give a plugin to all workers, also those that come later; return their answers."""
        return await self._hand_out(plugin, name, idempotent, nanny=False)

    async def unregister_worker_plugin(self, comm: Comm | None, name: str) -> dict[str, Any]:
        """Take it back."""
        return await operations.take_back_plugin(self, name)

    async def register_nanny_plugin(
        self, comm: Comm | None, plugin: Any, name: str | None = None, idempotent: bool = False
    ) -> dict[str, Any]:
        """Give a plugin to all nannies, also those that come later; return their answers."""
        return await self._hand_out(plugin, name, idempotent, nanny=True)

    async def unregister_nanny_plugin(self, comm: Comm | None, name: str) -> dict[str, Any]:
        """Take it back."""
        return await operations.take_back_plugin(self, name, nanny=True)

    async def _hand_out(
        self, plugin: Any, name: str | None, idempotent: bool, nanny: bool
    ) -> dict[str, Any]:
        if isinstance(plugin, bytes):
            plugin = Blob(plugin)
        elif isinstance(plugin, Serialized):
            plugin = plugin.blob
        elif not isinstance(plugin, Blob):
            name = name_of(plugin, name)
            plugin = dumps(plugin)
        elif not name:
            raise ValueError("a pickled plugin needs a name: nobody here opens it to see its own")
        return await operations.hand_out_plugin(self, plugin, str(name), idempotent, nanny)

    # -- requests of clients ---------------------------------------------------------------

    async def run_function(
        self,
        comm: Comm | None,
        function: Any,
        args: Any = (),
        kwargs: dict[str, Any] | None = None,
        wait: bool = True,
    ) -> dict[str, Any]:
        """Call a function here; it gets the scheduler as `dask_scheduler` where it takes that."""
        given = (function, args, kwargs or {})
        call, positional, keywords = (x if isinstance(x, Blob) else dumps(x) for x in given)
        return await functions.run_function(self, call, positional, keywords, wait)

    def start_task_metadata(self, name: str) -> None:
        """Begin to collect what becomes of tasks, under a name; see `get_task_metadata`."""
        metadata.start_metadata(self, name)

    def stop_task_metadata(self, name: str) -> dict[str, Any]:
        """Return what was collected, and collect no more."""
        return metadata.stop_metadata(self, name)

    async def upload_file(self, filename: str, data: Any, load: bool = True) -> dict[str, Any]:
        """Write a file into the scheduler's folder, and make it importable.

        Parameters
        ----------
        filename : str
            Its name; what ends in ``.py``, ``.egg`` or ``.zip`` can be imported.
        data : bytes or str
            Its contents.
        load : bool
            Whether to import it at once.
        """
        content = data.encode() if isinstance(data, str) else bytes(data)
        place(os.path.basename(filename), content, Path(self.local_directory), load)
        return {"status": "OK", "nbytes": len(content)}

    @property
    def local_directory(self) -> str:
        """A folder of the scheduler's own, made when somebody asks, and removed at the end."""
        if self._directory is None:
            self._directory = tempfile.TemporaryDirectory(
                prefix="scheduler-", dir=scratch_space(), ignore_cleanup_errors=True
            )
        return self._directory.name

    def _remove_directory(self) -> None:
        if self._directory is not None:
            self._directory.cleanup()


async def _awaited(closing: Any) -> None:
    await closing
