"""The description of a failure, for the decision whether the task is tried again."""

from __future__ import annotations

import importlib
import logging
from operator import attrgetter
from typing import TYPE_CHECKING

from shoal.wire.failures import kinds_of

if TYPE_CHECKING:
    from shoal.wire.failures import Failure
    from shoal.wire.messages import RetryPolicy

__all__ = ["describe_for_retry"]

logger = logging.getLogger("shoal.worker")


def describe_for_retry(policy: RetryPolicy, error: BaseException, failure: Failure) -> None:
    """Note what an exception is, and ask the policy's function about it; never raises."""
    failure.kinds = kinds_of(type(error))
    if policy.when:
        failure.agreed = _agrees(policy.when, error)


def _agrees(when: str, error: BaseException) -> bool:
    module, _, name = when.partition(":")
    try:
        return bool(attrgetter(name)(importlib.import_module(module))(error))
    except Exception as problem:
        logger.warning("Retry(when=%r) could not say whether to try again: %r", when, problem)
        return False
