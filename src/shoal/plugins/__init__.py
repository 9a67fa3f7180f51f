"""Plugins: users' objects with hooks that a scheduler, workers or nannies call.

The classes to derive from, and ready-made ones in `builtin`. The hooks are called by the modules
that have something to tell: `shoal.scheduler.plugins.own`, `shoal.worker.plugins`,
`shoal.nanny.plugins`.
"""

from __future__ import annotations

from shoal.plugins.nanny import NannyPlugin
from shoal.plugins.scheduler import SchedulerPlugin
from shoal.plugins.worker import WorkerPlugin

__all__ = ["NannyPlugin", "SchedulerPlugin", "WorkerPlugin"]
