"""The active memory manager: asks its policies now and then, and does what they suggest."""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from shoal import config
from shoal.scheduler.core.events import DropCopies, Move
from shoal.scheduler.core.policies.memory import MemoryPolicy, ReduceReplicas

if TYPE_CHECKING:
    from shoal.scheduler.core_access import CoreAccess

__all__ = ["MemoryManager"]

logger = logging.getLogger("shoal.scheduler")

_OWN = ("distributed.active_memory_manager", "dask.distributed.active_memory_manager", "shoal")


class MemoryManager:
    """Makes and drops copies of results.

    Parameters
    ----------
    scheduler : Scheduler
        Whose results these are.

    Attributes
    ----------
    policies : list
        The policies that are asked; `ReduceReplicas` at first.
    """

    def __init__(self, scheduler: CoreAccess) -> None:
        self._scheduler = scheduler
        self._interval = config.get_seconds("distributed.scheduler.active-memory-manager.interval")
        self.policies: list[MemoryPolicy] = _configured()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def running(self) -> bool:
        """Whether it acts by itself."""
        return self._timer is not None

    def add_policy(self, policy: MemoryPolicy) -> None:
        """Ask another policy, too; one that is done is dropped."""
        if not callable(getattr(policy, "suggest", None)):
            raise TypeError(f"a policy has a method suggest(state), got {policy!r}")
        self.policies.append(policy)

    def start(self) -> None:
        """Act now and then."""
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._interval, self._act)

    def stop(self) -> None:
        """Act no more by itself."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _act(self) -> None:
        self._timer = None
        self.start()
        state = self._scheduler.state
        if state.replicated or any(type(each) is not ReduceReplicas for each in self.policies):
            self.run_once()

    def run_once(self) -> None:
        """Ask the policies, and do what they suggest."""
        state = self._scheduler.state
        if state.recovery.until is not None:
            return  # the holders are not known yet
        drops: list[tuple[str, str]] = []
        moves: dict[str, list[str]] = {}
        for policy in list(self.policies):
            try:
                for task, worker, drop in policy.suggest(state):
                    if drop:
                        drops.append((task.key, worker.address))
                    else:
                        moves.setdefault(worker.address, []).append(task.key)
            except Exception:
                logger.exception("the memory policy %r failed", policy)
                continue
            if getattr(policy, "done", False):
                self.policies.remove(policy)
        if drops:
            self._scheduler.feed(DropCopies(drops))
        for address, keys in moves.items():
            self._scheduler.feed(Move(keys, address))


def _configured() -> list[MemoryPolicy]:
    """Return the policies of the configuration: classes by name, with their arguments."""
    key = "distributed.scheduler.active-memory-manager.policies"
    found: list[MemoryPolicy] = []
    for each in config.get_list(key):
        if not isinstance(each, Mapping) or not isinstance(each.get("class"), str):
            raise ValueError(f"{key}: each is a mapping with the name of a class, not {each!r}")
        arguments = {name: value for name, value in each.items() if name != "class"}
        module, _, name = each["class"].rpartition(".")
        if name == "ReduceReplicas" and module in _OWN:
            found.append(ReduceReplicas(**arguments))
            continue
        try:
            policy = getattr(importlib.import_module(module), name)(**arguments)
        except (ImportError, AttributeError, ValueError) as error:
            raise ValueError(f"{key}: {each['class']} cannot be had: {error}") from error
        if not callable(getattr(policy, "suggest", None)):
            raise ValueError(f"{key}: {each['class']} is no policy, as it has no suggest(state)")
        found.append(policy)
    return found
