"""A worker's settings from the configuration, read once, when it is made."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any

from shoal import config
from shoal._base.allocation import allocation_end
from shoal._base.numbers import amounts
from shoal._base.system import memory_available
from shoal.comm.endpoints import file_in_place
from shoal.worker.core import Settings

__all__ = [
    "Given",
    "Lifetime",
    "all_executors",
    "max_shared",
    "positive",
    "profile_cycle",
    "read_resources",
    "read_settings",
]


_FETCH_AT_LEAST = 1_000_000


def read_resources(resources: Mapping[str, float] | None) -> dict[str, float]:
    """Return what tasks may ask for: as it was given, or as it is configured."""
    return amounts("resources=", resources or config.get_dict("distributed.worker.resources"))


def profile_cycle(interval: Any, low_level: bool | None) -> float | None:
    """Return the seconds over which samples of stacks are summed up; None: as configured.

    Raises
    ------
    ValueError
        When frames of C are to be sampled, or the time is none.
    """
    if low_level:
        raise ValueError(
            "low_level_profiler=True: frames of C are not sampled, only those of Python; leave it "
            "out, and use py-spy --native on the worker's process"
        )
    return config.parse_optional_seconds("profile_cycle_interval", interval)


def read_settings(
    resources: dict[str, float],
    memory_limit: int,
    nthreads: int = 1,
    *,
    validate: bool | None = None,
    fractions: tuple[Any, Any, Any] = (None, None, None),
) -> Settings:
    """Return the settings of the worker's core.

    Parameters
    ----------
    resources : dict
        The resources that tasks may ask for.
    memory_limit : int
        Bytes; 0 for none.
    nthreads : int
        How many runs there are at a time.
    fractions : (float or None, float or None, float or None)
        Of the memory limit, from which on values go to disk: target, spill; and no task is begun:
        pause. None: as configured; False: never.
    """
    target, spill, pause = (
        config.get_fraction(f"distributed.worker.memory.{name}", given)
        for name, given in zip(("target", "spill", "pause"), fractions, strict=True)
    )
    settings = Settings(
        resources=resources,
        nthreads=nthreads,
        memory_limit=memory_limit,
        memory_target=target,
        memory_spill=spill,
        memory_pause=pause,
        stuck_after=config.get_optional_seconds("shoal.memory.restart-paused"),
        fetch_message_bytes=config.get_bytes("distributed.worker.transfer.message-bytes-limit"),
        interrupt_grace=config.get_seconds("shoal.timeouts.grace"),
        validate=config.get_bool("distributed.worker.validate", validate),
    )
    transfer = config.get_fraction("distributed.worker.memory.transfer")
    if not transfer or not memory_limit:
        return settings
    return replace(settings, fetch_bytes=max(int(memory_limit * transfer), _FETCH_AT_LEAST))


def max_shared(memory_limit: int) -> int:
    """Return how many bytes copies of values in shared memory may take.

    Parameters
    ----------
    memory_limit : int
        Bytes; 0 for none, then it is a part of the machine's memory.
    """
    part = config.get_fraction("shoal.shared-memory.keep")
    return int((part or 0.0) * (memory_limit or memory_available()))


@dataclass
class Given:
    """Arguments of a worker that are used when it starts."""

    local_directory: str | None
    data: Any
    plugins: list[Any]
    scheduler_file: str | None

    def look_up(self, worker: Any) -> str | None:
        """Return the scheduler's address as its file has it now, and have the worker know it.

        A file may be that of an earlier scheduler, until the next one writes its own.
        """
        found = None if self.scheduler_file is None else file_in_place(self.scheduler_file)
        if found is not None and found[0] != worker.scheduler_address:
            worker.scheduler_address = found[0]
            worker.rpc.expected[found[0]] = ("scheduler",)
        return None if found is None else found[0]


@dataclass
class Lifetime:
    """When a worker retires by itself.

    Attributes
    ----------
    seconds : float or None
        From its start; None: never.
    restart : bool
        Whether its nanny starts another worker then.
    """

    seconds: float | None
    restart: bool

    @classmethod
    def read(cls, lifetime: Any, stagger: Any, restart: bool | None) -> Lifetime:
        """Return it as given, or as configured; the stagger is drawn at random.

        In a batch job with a time limit it ends before that: there is time to hand over the data.
        """
        seconds = config.get_optional_seconds("distributed.worker.lifetime.duration", lifetime)
        spread = config.get_optional_seconds("distributed.worker.lifetime.stagger", stagger) or 0.0
        if seconds is not None:
            seconds = max(0.0, seconds + random.uniform(-spread, spread))
        again = config.get_bool("distributed.worker.lifetime.restart", restart)
        end = allocation_end()
        if end is not None:
            left = max(0.0, end - time.time())
            left -= min(config.get_seconds("shoal.retire.before-end"), left / 10)
            if seconds is None or left < seconds:
                return cls(left, False)
        return cls(seconds, again)


def all_executors(
    main: Executor | str | Mapping[str, Executor] | None, others: Mapping[str, Executor] | None
) -> dict[str, Executor]:
    """Return the executors that users brought, by name; one for all tasks is the "default"."""
    found = dict(others or {})
    if isinstance(main, Mapping):
        found |= main
    elif isinstance(main, Executor):
        found["default"] = main
    elif main not in (None, "offload", "default"):
        raise ValueError(f"executor is a concurrent.futures.Executor or 'offload', not {main!r}")
    return found


def positive(name: str, value: int | None, default: int) -> int:
    """Return a whole number of at least 1; the default for None."""
    if value is None:
        return default
    if isinstance(value, bool) or int(value) != value or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")
    return int(value)
