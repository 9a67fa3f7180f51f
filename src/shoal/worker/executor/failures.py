"""Failures of tasks; see `shoal.wire.failures`."""

from __future__ import annotations

from shoal.wire.failures import Failure, pack_failure

__all__ = ["Failure", "pack_failure"]
