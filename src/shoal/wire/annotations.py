"""Names of annotations that shoal itself puts on tasks. Users do not see them."""

from __future__ import annotations

__all__ = ["CODE"]

# The code of the user who sent the task, innermost function first.
CODE = "shoal:code"
