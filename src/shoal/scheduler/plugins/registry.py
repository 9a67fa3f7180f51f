"""Plugins for workers and nannies: opaque here, given to all that are there and all that come."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from shoal.wire.blob import Blob

if TYPE_CHECKING:
    from shoal.scheduler.core.state import WorkerState
    from shoal.scheduler.core_access import Kind, PeerAccess

__all__ = ["PluginRegistry"]

logger = logging.getLogger("shoal.scheduler.plugins.own")


class PluginRegistry:
    """The plugins that the workers (or the nannies) of a scheduler are to have.

    Each change has a name of its own. A peer that joins says which it has seen; when that is not
    the last one it gets what it lacks.

    Parameters
    ----------
    scheduler : Scheduler
        The scheduler that gives them out.
    kind : {"worker", "nanny"}
        To whom.
    """

    def __init__(self, scheduler: PeerAccess, kind: Kind) -> None:
        self.scheduler = scheduler
        self.kind = kind
        self.plugins: dict[str, Blob] = {}
        self._changes = 0
        self.seen: dict[str, str] = {}  # by the address of a nanny

    @property
    def change(self) -> str:
        """The last change: this scheduler's id and a number."""
        return f"{self.scheduler.id}/{self._changes}"

    def known(self, address: str = "") -> dict[str, Any]:
        """Return all plugins and the number of the last change, for one that joins."""
        if self.kind == "nanny" and address:
            self.seen[address] = self.change
        return {"change": self.change, "plugins": dict(self.plugins)}

    def restore(self) -> None:
        """Begin with what the journal says."""
        plugins = self.scheduler.state.notes.plugins
        self.plugins = {name: blob for (kind, name), blob in plugins.items() if kind == self.kind}
        self._changes = len(self.plugins)

    async def add(self, plugin: Blob, name: str, idempotent: bool) -> dict[str, Any]:
        """Remember a plugin and give it to all; return their answers by the worker's address."""
        if idempotent and name in self.plugins:
            return {}
        self._changes += 1
        self.plugins[name] = plugin
        await self.scheduler.keep_plugin(self.kind, name, plugin)
        return await self._tell_all("plugin_add", name=name, plugin=plugin)

    async def remove(self, name: str) -> dict[str, Any]:
        """Forget a plugin, here and everywhere.

        Raises
        ------
        ValueError
            When there is none of that name.
        """
        if name not in self.plugins:
            known = ", ".join(map(repr, self.plugins)) or "none"
            raise ValueError(f"there is no {self.kind} plugin {name!r}; there are: {known}")
        self._changes += 1
        del self.plugins[name]
        await self.scheduler.keep_plugin(self.kind, name, None)
        return await self._tell_all("plugin_remove", name=name)

    async def _tell_all(self, op: str, **request: Any) -> dict[str, Any]:
        targets = {}
        for ws in self.scheduler.state.workers.values():
            target = ws.address if self.kind == "worker" else ws.info.nanny
            if target is not None:
                targets[ws.address] = target
        answers = await asyncio.gather(
            *(getattr(self.scheduler.rpc(target), op)(**request) for target in targets.values()),
            return_exceptions=True,
        )
        told: dict[str, Any] = {}
        for (address, target), answer in zip(targets.items(), answers, strict=True):
            if isinstance(answer, OSError):  # it is gone; should it come back, it is told then
                logger.info("%s did not hear of plugin %r: %s", target, request["name"], answer)
                continue
            if isinstance(answer, BaseException):
                raise answer
            told[address] = answer
        self.seen = {target: self.change for address, target in targets.items() if address in told}
        return told

    def worker_joined(self, ws: WorkerState) -> None:
        """Give a worker, or its nanny, what was registered while it was on its way."""
        if not self._changes:
            return
        if self.kind == "worker":
            if ws.info.extra.get("plugins") != self.change:
                self.scheduler.background(self._catch_up(ws.address))
        elif ws.info.nanny is not None and self.seen.get(ws.info.nanny) != self.change:
            self.scheduler.background(self._catch_up(ws.info.nanny))

    async def _catch_up(self, target: str) -> None:
        peer = self.scheduler.rpc(target)
        known = self.known(target)
        try:
            await peer.plugin_sync(plugins=known["plugins"], change=known["change"])
        except OSError as error:  # it is gone again
            logger.info("%s did not hear of plugins: %s", target, error)
