"""A plugin of pytest: the fixtures that joblib's tests have from a file beside its package."""

from __future__ import annotations

from distributed.utils_test import cleanup, loop, loop_in_thread

__all__ = ["cleanup", "loop", "loop_in_thread"]
