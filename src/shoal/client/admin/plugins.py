"""Plugins from the client's side: told apart, pickled, registered, taken back."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from shoal.client.futures.outcome import load_error
from shoal.errors import RemoteError
from shoal.plugins import NannyPlugin, SchedulerPlugin, WorkerPlugin
from shoal.plugins.hooks import name_of
from shoal.wire.blob import Blob
from shoal.wire.pickling import dumps

if TYPE_CHECKING:
    from shoal.client.session.context import ClientContext

__all__ = ["SetupCallback", "register_any", "register_here", "unregister"]


class SetupCallback(WorkerPlugin):
    """Runs a function when a worker starts (`Client.register_worker_callbacks`)."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def setup(self, worker: Any) -> Any:
        """Call the function; it gets the worker where it takes ``dask_worker``."""
        try:
            takes = "dask_worker" in inspect.signature(self.function).parameters
        except (TypeError, ValueError):  # builtins without a signature
            takes = False
        return self.function(dask_worker=worker) if takes else self.function()


async def register_any(
    client: ClientContext,
    plugin: Any,
    name: str | None = None,
    idempotent: bool | None = None,
    where: str | None = None,
    kwargs: dict[str, Any] | None = None,
) -> Any:
    """Register a plugin of any kind.

    Parameters
    ----------
    where : {"scheduler", "worker", "nanny"}, optional
        By default what the class says.
    kwargs : dict, optional
        Of the plugin's class, where the class was given.
    """
    await client
    if isinstance(plugin, type):
        if where is None:
            raise TypeError(
                f"register_plugin() takes a plugin, not its class: {plugin.__name__}(...)"
            )
        plugin = plugin(**(kwargs or {}))
    elif kwargs:
        raise TypeError(
            f"{', '.join(map(repr, kwargs))} are arguments of a plugin's class; {plugin!r} is a "
            f"plugin already, which takes none"
        )
    if where is not None:
        plugin = getattr(plugin, "for_nannies", plugin)  # of one that takes care of all itself
    place = where or _kind_of(plugin)
    if where == "worker" and isinstance(plugin, NannyPlugin):
        place = "nanny"
    elif isinstance(plugin, SchedulerPlugin) and not hasattr(plugin, "setup"):
        place = "scheduler"  # one that takes care of workers itself, as PipInstall
    name = name_of(plugin, name)
    if idempotent is None:
        idempotent = bool(getattr(plugin, "idempotent", False))
    if place == "scheduler":
        await client.scheduler.register_scheduler_plugin(
            plugin=dumps(plugin), name=name, idempotent=idempotent
        )
        return None
    answers = await client.scheduler.register_worker_plugin(
        plugin=dumps(plugin), name=name, idempotent=idempotent, nanny=place == "nanny"
    )
    return _look_at(client, answers)


def _kind_of(plugin: Any) -> str:
    if isinstance(plugin, SchedulerPlugin):
        return "scheduler"
    if isinstance(plugin, NannyPlugin):
        return "nanny"
    if isinstance(plugin, WorkerPlugin):
        return "worker"
    raise TypeError(
        f"a plugin is a SchedulerPlugin, a WorkerPlugin or a NannyPlugin; {plugin!r} is of "
        f"{type(plugin).__name__}, which derives from none of them"
    )


def _look_at(client: ClientContext, answers: dict[str, Any]) -> dict[str, Any]:
    """Raise the first error among the answers of workers."""
    for answer in answers.values():
        if answer["status"] != "OK":
            if isinstance(answer.get("exception"), Blob):
                raise load_error(client, answer["exception"], answer["traceback"])
            raise RemoteError(str(answer.get("text")))
    return answers


async def register_here(client: ClientContext, setup: Callable[..., Any] | None) -> Any:
    """Register a function that workers run when they start."""
    if not callable(setup):
        raise TypeError(f"setup= must be a function, got {setup!r}")
    return await register_any(client, SetupCallback(setup))


async def unregister(client: ClientContext, name: str, where: str) -> Any:
    """Take back a plugin of ``"scheduler"``, ``"worker"`` or ``"nanny"``."""
    await client
    if where == "scheduler":
        return await client.scheduler.unregister_scheduler_plugin(name=name)
    answers = await client.scheduler.unregister_worker_plugin(name=name, nanny=where == "nanny")
    return _look_at(client, answers)
