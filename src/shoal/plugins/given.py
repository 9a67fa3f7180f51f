"""Plugins that a scheduler gives to its workers and nannies: brought, kept, taken back."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from shoal.wire.blob import Blob
from shoal.wire.failures import pack_failure
from shoal.wire.pickling import loads

__all__ = ["GivenPlugins", "raise_first_error"]


class GivenPlugins(ABC):
    """The plugins of one server, by name.

    Attributes
    ----------
    plugins : dict
        By name.
    change : str
        The scheduler's last change to its plugins that was seen here.
    """

    def __init__(self, logger: logging.Logger) -> None:
        self.plugins: dict[str, Any] = {}
        self.change = ""
        self._logger = logger
        self._given: dict[str, Blob] = {}  # by the scheduler

    @abstractmethod
    async def add(self, plugin: Any, name: str | None = None) -> None:
        """Add a plugin and set it up; an older one of the same name is torn down first."""

    @abstractmethod
    async def _tear_down(self, name: str) -> None:
        """Remove a plugin, then tear it down; raises what its `teardown` raises."""

    async def _take_down(self, name: str) -> None:
        """Remove a plugin and tear it down; an error of its own is logged."""
        try:
            await self._tear_down(name)
        except Exception:
            self._logger.exception("Plugin %r failed in teardown()", name)

    async def _add_given(self, blob: Any, name: str) -> dict[str, Any]:
        """Add a plugin that came from the scheduler; the answer tells how that went."""
        try:
            await self.add(loads(blob) if isinstance(blob, Blob) else blob, name)
        except Exception as error:
            self._logger.exception("Plugin %r failed in setup()", name)
            return _answer(error)
        self._given[name] = blob
        return {"status": "OK"}

    async def remove(self, name: str) -> dict[str, Any]:
        """Tear a plugin down; the answer tells how that went. No harm when it is not there."""
        self._given.pop(name, None)
        if name in self.plugins:
            try:
                await self._tear_down(name)
            except Exception as error:
                self._logger.exception("Plugin %r failed in teardown()", name)
                return _answer(error)
        return {"status": "OK"}

    async def sync(self, plugins: dict[str, Blob], change: str) -> None:
        """Have the plugins that the scheduler wants here, and not those it took back.

        Plugins of another scheduler, before this one took its place, stay.
        """
        if _source(change) == _source(self.change):
            for name in [name for name in self._given if name not in plugins]:
                await self.remove(name)
        self.change = change
        fresh = [name for name, blob in plugins.items() if self._given.get(name) != blob]
        for name in fresh:
            await self._add_given(plugins[name], name)
        await self._came(fresh)

    async def _came(self, names: list[str]) -> None:  # noqa: B027 nothing, for most
        """Do what follows when plugins came from the scheduler."""

    async def close(self) -> None:
        """Tear down all, the last one first."""
        for name in reversed(list(self.plugins)):
            await self._take_down(name)


def _answer(error: Exception) -> dict[str, Any]:
    failure = pack_failure(error)
    return {
        "status": "error",
        "exception": failure.exception,
        "traceback": failure.traceback,
        "text": failure.exception_text,
    }


def _source(change: str) -> str:
    """Return the scheduler that made a change."""
    return change.rpartition("/")[0]


def raise_first_error(answers: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise the first error among the answers of those that were given a plugin."""
    for address, answer in answers.items():
        if answer["status"] != "OK":
            error = loads(answer["exception"]) if isinstance(answer["exception"], Blob) else None
            if isinstance(error, Exception):
                raise error
            raise RuntimeError(f"{address}: {answer.get('text')}")
