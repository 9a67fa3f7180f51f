"""The system, the machine's limits, and event loops."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from shoal import config
from shoal._base.loop import new_event_loop
from shoal._base.system import CPU_COUNT, memory_available

__all__ = [
    "CPU_COUNT",
    "LINUX",
    "MACOS",
    "MEMORY_LIMIT",
    "WINDOWS",
    "asyncio_run",
    "get_loop_factory",
    "memory_limit",
]

T = TypeVar("T")

LINUX = sys.platform.startswith("linux")
MACOS = sys.platform == "darwin"
WINDOWS = sys.platform == "win32"

memory_limit = memory_available
MEMORY_LIMIT = memory_available()


def get_loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes event loops as ``distributed.admin.event-loop`` says; None: asyncio's."""
    if config.get_str("distributed.admin.event-loop") == "asyncio":
        return None
    return new_event_loop


def asyncio_run(
    main: Coroutine[Any, Any, T],
    *,
    debug: bool | None = None,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> T:
    """Run a coroutine on a new event loop of a given kind: `asyncio.run` of Python 3.12."""
    with asyncio.Runner(debug=debug, loop_factory=loop_factory) as runner:
        return runner.run(main)
