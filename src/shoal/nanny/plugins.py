"""A nanny's plugins: put up before it starts its worker, taken down when it closes."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Protocol

from shoal.plugins.given import GivenPlugins
from shoal.plugins.hooks import name_of, overrides, run_hook

if TYPE_CHECKING:
    from shoal.comm.rpc import ConnectionPool

__all__ = ["NannyPlugins"]

logger = logging.getLogger("shoal.nanny.plugins")

# Seconds to ask the scheduler before the worker is started without its answer. A scheduler that
# comes later brings what it has itself.
_TIMEOUT = 5.0


class PluginsHost(Protocol):
    """A nanny, as its plugins' registry knows it; hooks get the whole."""

    scheduler_addr: str
    rpc: ConnectionPool

    @property
    def address(self) -> str:
        """Where others reach it."""

    def is_alive(self) -> bool:
        """Whether the worker's process runs."""

    async def restart(self, timeout: float = 30, reason: str = "restart") -> str:
        """End the worker's process and start another."""


class NannyPlugins(GivenPlugins):
    """The plugins of one nanny, by name."""

    def __init__(self, nanny: PluginsHost) -> None:
        super().__init__(logger)
        self.nanny = nanny

    async def fetch(self) -> None:
        """Ask the scheduler for the plugins that nannies are to have, before there is a worker."""
        nanny = self.nanny
        if not nanny.scheduler_addr:
            return
        scheduler = nanny.rpc(nanny.scheduler_addr)
        try:
            async with asyncio.timeout(_TIMEOUT):
                known = await scheduler.worker_plugins(nanny=True, address=nanny.address)
        except Exception as error:
            logger.info(
                "The scheduler at %s does not say which plugins nannies have, so the worker starts "
                "without: %s",
                *(nanny.scheduler_addr, str(error) or type(error).__name__),
            )
            return
        self.change = known["change"]
        for name, blob in known["plugins"].items():
            await self._add_given(blob, name)

    async def add(self, plugin: Any, name: str | None = None) -> None:
        """Add a plugin and set it up; an older one of the same name is torn down first."""
        name = name_of(plugin, name)
        if name in self.plugins:
            await self._take_down(name)
        setup = getattr(plugin, "setup", None)
        if setup is not None:
            await run_hook(setup, self.nanny)
        self.plugins[name] = plugin
        logger.info("Plugin %r is on %r", name, self.nanny)

    async def add_remote(self, plugin: Any, name: str) -> dict[str, Any]:
        """Add a plugin that came from the scheduler; the worker starts anew if it wants that."""
        answer = await self._add_given(plugin, name)
        if answer["status"] == "OK":
            await self._restart([name])
        return answer

    async def _came(self, names: list[str]) -> None:
        await self._restart(names)

    async def _restart(self, names: list[str]) -> None:
        wants = [n for n in names if getattr(self.plugins.get(n), "restart", False)]
        if wants and self.nanny.is_alive():
            await self.nanny.restart(reason=f"the plugin {wants[0]!r} wants a new process")

    async def _tear_down(self, name: str) -> None:
        teardown = overrides(self.plugins.pop(name), "teardown")
        if teardown is not None:
            await run_hook(teardown, self.nanny)
