"""A worker's plugins: put up, called, taken down.

The core knows nothing of them: what they hear is read off its events and effects, and only where a
plugin listens.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from shoal._base.keys import decode_key
from shoal.plugins.given import GivenPlugins
from shoal.plugins.hooks import call_hook, name_of, overrides, run_hook
from shoal.wire import messages as m
from shoal.worker import core

if TYPE_CHECKING:
    from shoal.worker.core.effects import Effects
    from shoal.worker.store import Store

__all__ = ["WorkerPlugins"]

logger = logging.getLogger("shoal.worker.plugins")

_ENDS = {"ok": "memory", "error": "error", "reschedule": "rescheduled"}


class PluginsHost(Protocol):
    """A worker, as its plugins' registry knows it; hooks get the whole."""

    name: Any
    store: Store

    def listen_to_core(self) -> None:
        """Have plugins told of what happens in the core if one of them listens."""


class WorkerPlugins(GivenPlugins):
    """The plugins of one worker.

    Parameters
    ----------
    worker : Worker
        Whose plugins these are.

    Attributes
    ----------
    watching : bool
        Whether a plugin wants to hear of transitions.
    """

    def __init__(self, worker: PluginsHost) -> None:
        super().__init__(logger)
        self.worker = worker
        self.watching = False
        self._transition: list[tuple[str, Callable[..., Any]]] = []
        self._release: list[tuple[str, Callable[..., Any]]] = []
        self._states: dict[str, str] = {}  # of the keys that are here, while a plugin watches

    # -- coming and going ----------------------------------------------------------

    async def add(self, plugin: Any, name: str | None = None) -> None:
        """Add a plugin and set it up; an older one of the same name is torn down first.

        Raises
        ------
        Exception
            The exception of its `setup`; then it was not added.
        """
        name = name_of(plugin, name)
        if name in self.plugins:
            await self._take_down(name)
        # First: what `setup` starts may ask for the plugin.
        self.plugins[name] = plugin
        try:
            setup = getattr(plugin, "setup", None)
            if setup is not None:
                await run_hook(setup, self.worker)
        except BaseException:
            self.plugins.pop(name, None)
            raise
        self._arrange()
        logger.info("Plugin %r is on worker %s", name, self.worker.name)

    async def add_remote(self, blob: Any, name: str) -> dict[str, Any]:
        """Add a plugin that came from the scheduler; the answer tells how that went."""
        return await self._add_given(blob, name)

    async def _tear_down(self, name: str) -> None:
        plugin = self.plugins.pop(name)
        self._arrange()
        teardown = overrides(plugin, "teardown")
        if teardown is not None:
            await run_hook(teardown, self.worker)

    def _arrange(self) -> None:
        self._transition = self._listeners("transition")
        self._release = self._listeners("release_key")
        self.watching = bool(self._transition or self._release)
        self.worker.listen_to_core()
        pool = getattr(self.worker, "pool", None)
        if pool is not None:
            pool.watch_begin(self._begins if self._transition else None)
        if not self.watching:
            self._states.clear()

    def _listeners(self, hook: str) -> list[tuple[str, Callable[..., Any]]]:
        methods = ((name, overrides(plugin, hook)) for name, plugin in self.plugins.items())
        return [(name, method) for name, method in methods if method is not None]

    # -- transitions of tasks --------------------------------------------------------

    def tell(self, event: core.events.Event, effects: Effects) -> None:
        """Tell of what an event led to."""
        if type(event) is core.FromScheduler:
            for message in event.messages:
                if type(message) is m.Compute:
                    self._move(message.key, "waiting")
                elif type(message) is m.ComputeMany:
                    for key in message.keys:
                        self._move(key, "waiting")
        elif type(event) is core.Outcomes:
            for outcome in event.outcomes:
                end = _ENDS.get(outcome.kind)
                if end is not None:
                    self._begins(outcome.key)
                    self._states.setdefault(outcome.key, "executing")
                    self._move(outcome.key, end)
        elif type(event) is core.Seceded:
            self._move(event.key, "long-running")
        for fetch in effects.fetch:
            for key in fetch.keys:
                self._move(key, "flight")
        for key in effects.keep:
            self._move(key, "memory")
        for task in effects.execute:
            self._move(task.key, "ready")
        for key in effects.drop:
            if key in self.worker.store:
                self._drop(key)

    def _begins(self, key: str) -> None:
        """A run begins; on the loop's thread, perhaps after it ended."""
        if self._states.get(key) == "ready":
            self._move(key, "executing")

    def _move(self, key: str, finish: str) -> None:
        start = self._states.get(key, "released")
        if start == finish:
            return
        if finish in ("error", "rescheduled"):
            self._states.pop(key, None)
        else:
            self._states[key] = finish
        for name, hook in self._transition:
            call_hook(logger, name, "transition", hook, decode_key(key), start, finish)

    def _drop(self, key: str) -> None:
        start = self._states.pop(key, None)
        if start is None:
            start = "memory"  # it was here before anybody watched
        user_key = decode_key(key)
        for name, hook in self._transition:
            call_hook(logger, name, "transition", hook, user_key, start, "released")
        for name, hook in self._release:
            call_hook(logger, name, "release_key", hook, user_key, start, None, None, False)
