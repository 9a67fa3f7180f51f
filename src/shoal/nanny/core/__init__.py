"""A nanny's decisions: whether and when to start a process again, and when memory is too much.

Pure: time is an argument, nothing outside is touched.
"""

from __future__ import annotations

from shoal.nanny.core.memory import MemoryLimit
from shoal.nanny.core.restarts import Close, Decision, End, Restart, RestartPolicy

__all__ = ["Close", "Decision", "End", "MemoryLimit", "Restart", "RestartPolicy"]
