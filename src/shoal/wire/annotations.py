"""Names of annotations that shoal itself puts on tasks. Users do not see them."""

from __future__ import annotations

__all__ = ["CODE", "OWN", "TRACE"]

# The code of the user who sent the task, innermost function first.
CODE = "shoal:code"

# The context of the span in which it was sent, as OpenTelemetry's propagators write it.
TRACE = "shoal:trace"

OWN = frozenset({CODE, TRACE})
