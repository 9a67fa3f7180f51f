"""Attributes of a nanny for plugins and functions, by the documented names."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask

from shoal import config as settings
from shoal.comm.rpc import PooledRPC
from shoal.diagnostics.server_attributes import ServerAttributes
from shoal.plugins.placing import place
from shoal.preloading import Preloads
from shoal.wire.plain import plain
from shoal.worker.directory import scratch_space

if TYPE_CHECKING:
    from shoal.nanny.server_process import ServerProcess

__all__ = ["NannyAttributes", "NannyMemoryManager", "with_ours"]


def with_ours(config: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return a configuration that is this process's, with other values for some names.

    Parameters
    ----------
    config : mapping, optional
        Values by name, nested or with dots. None: nothing else, and what is returned is None.
    """
    if config is None:
        return None
    whole: dict[str, Any] = copy.deepcopy(dask.config.config)
    dask.config.set(dict(config), config=whole)
    return whole


class NannyMemoryManager:
    """The limit of the memory of a nanny's worker.

    Parameters
    ----------
    nanny : Nanny
        The nanny.
    """

    __slots__ = ("_nanny",)

    def __init__(self, nanny: NannyAttributes) -> None:
        self._nanny = nanny

    @property
    def memory_limit(self) -> int | None:
        """Bytes; None for no limit."""
        return self._nanny.memory_limit or None

    @property
    def memory_terminate_fraction(self) -> float | bool:
        """Part of the limit at which the process is replaced; False: never."""
        return settings.get_fraction("distributed.worker.memory.terminate") or False

    @property
    def memory_monitor_interval(self) -> float:
        """Seconds between two looks."""
        return settings.get_seconds("distributed.worker.memory.monitor-interval")

    @property
    def process(self) -> Any:
        """The process."""
        return self._nanny.process


class NannyAttributes(ServerAttributes):
    """The part of `Nanny` that others read and call."""

    _stopping = ""  # why no other process is started

    scheduler_addr: str
    worker_class: type | str
    memory_limit: int
    process: ServerProcess | None
    given_directory: str | None
    _options: dict[str, Any]
    _config: dict[str, Any] | None
    _silence_logs: Any
    _preloads: Preloads

    def stay_down(self, reason: str) -> None:
        """Start no other process when the present one ends."""
        self._stopping = self._stopping or reason

    @property
    def scheduler(self) -> PooledRPC:
        """Calls operations of the scheduler."""
        return self.rpc(self.scheduler_addr)

    @property
    def Worker(self) -> type:
        """The class of the worker."""
        named = self.worker_class
        if isinstance(named, type):
            return named
        module, _, name = named.rpartition(".")
        found: type = getattr(importlib.import_module(module), name)
        return found

    @property
    def config(self) -> dict[str, Any]:
        """The configuration that the worker's process gets."""
        return dask.config.config if self._config is None else self._config

    @property
    def worker_kwargs(self) -> dict[str, Any]:
        """The arguments of the worker."""
        return dict(self._options)

    @property
    def resources(self) -> dict[str, float] | None:
        """The resources that tasks may ask for."""
        return self._options.get("resources")

    @property
    def death_timeout(self) -> Any:
        """After which time a worker closes that finds no scheduler; None: never."""
        return self._options.get("death_timeout")

    @property
    def silence_logs(self) -> Any:
        """The level below which the worker's process logs nothing."""
        return self._silence_logs

    @property
    def preloads(self) -> Preloads:
        """The preloads of the nanny itself."""
        return self._preloads

    @property
    def pre_spawn_env(self) -> dict[str, str]:
        """Variables of the configuration that a process has from its first moment on."""
        found = settings.get_dict("distributed.nanny.pre-spawn-environ")
        return {name: str(value) for name, value in found.items() if value is not None}

    @property
    def memory_manager(self) -> NannyMemoryManager:
        """The limit of the worker's memory."""
        return NannyMemoryManager(self)

    @property
    def local_directory(self) -> str:
        """The folder in which the worker makes its own."""
        return scratch_space(self.given_directory)

    def log_event(self, topic: str | list[str], msg: Any) -> None:
        """Have the scheduler remember an event, and tell those who subscribed to its topic."""
        message = plain(msg)

        async def tell() -> None:
            await self.scheduler.log_event(topic=topic, msg=message)

        self.loop.call_soon_threadsafe(lambda: self.background(tell()))

    def close_gracefully(self, reason: str = "the nanny closes gracefully") -> None:
        """Start no other worker when this one ends: it is about to leave."""
        self.stay_down(reason)

    async def upload_file(self, filename: str, data: Any, load: bool = True) -> dict[str, Any]:
        """Write a file into the nanny's folder, and make it importable in this process."""
        content = data.encode() if isinstance(data, str) else bytes(data)
        place(Path(filename).name, content, Path(self.local_directory), load)
        return {"status": "OK", "nbytes": len(content)}
