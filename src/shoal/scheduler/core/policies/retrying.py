"""Whether a task that failed is run again, and when: its `RetryPolicy`.

Cores have no chance to draw from, so what spreads retries is made from the key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from zlib import crc32

if TYPE_CHECKING:
    from shoal.wire.messages import Failed, RetryPolicy

__all__ = ["is_worth_retrying", "pause_before"]

_LONGEST = 86_400.0  # seconds


def is_worth_retrying(policy: RetryPolicy | None, failure: Failed) -> bool:
    """Return whether a failure is one that may go away."""
    if policy is None:
        return True
    if not failure.agreed:
        return False
    return not policy.on or any(kind in policy.on for kind in failure.kinds)


def pause_before(policy: RetryPolicy, key: str, attempt: int) -> float:
    """Return the seconds before a retry, the first of which is number 1.

    Examples
    --------
    >>> from shoal.wire.messages import RetryPolicy
    >>> [pause_before(RetryPolicy(delay=1.0, backoff=2.0), "x", n) for n in (1, 2, 3)]
    [1.0, 2.0, 4.0]
    """
    try:
        seconds = min(policy.delay * policy.backoff ** (attempt - 1), _LONGEST)
    except OverflowError:
        seconds = _LONGEST
    if policy.jitter:
        chance = crc32(f"{key}/{attempt}".encode()) / 2**32
        seconds *= 0.5 + 0.5 * chance
    return seconds
