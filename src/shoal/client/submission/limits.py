"""How long a task may run, how it is tried again, and whether its result is kept: what users say,
made ready to be sent.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from numbers import Number
from typing import TYPE_CHECKING, Any

from dask.utils import parse_timedelta

from shoal._base.later import later
from shoal._base.numbers import whole_number
from shoal.wire.messages import RetryPolicy

if TYPE_CHECKING:
    from shoal.cache import cached
else:
    cached = later("shoal.cache.cached")

__all__ = [
    "Retry",
    "checked_retries",
    "checked_timeout",
    "for_task",
    "given_to",
    "seconds",
    "with_cache_of",
]

_MOST = 2**31
_NAMED = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


@dataclass(frozen=True)
class Retry:
    """How a task is tried again that failed: ``retries=Retry(3, on=(OSError,), delay="1s")``.

    Parameters
    ----------
    times : int
        How often, at most.
    on : class or tuple of classes
        Which exceptions are worth it; all by default.
    delay : float or str
        How long to wait before the first retry. Nothing waits on workers meanwhile.
    backoff : float
        How many times as long the wait is before each further retry.
    jitter : bool
        Whether waits are made shorter, by up to a half and differently for each key, so that what
        failed together is not tried again together.
    when : str or callable, optional
        A function that is called with the exception where the task failed, and says whether to
        try again: ``"module:name"``, or a function that workers can import.

    Raises
    ------
    TypeError, ValueError
        When one of these makes no sense.

    Examples
    --------
    >>> policy = Retry(5, on=(ConnectionError, TimeoutError), delay="500ms")
    >>> client.submit(download, url, retries=policy)  # doctest: +SKIP
    """

    times: int
    on: type[BaseException] | tuple[type[BaseException], ...] = ()
    delay: float | str = 0.0
    backoff: float = 2.0
    jitter: bool = True
    when: str | Callable[[BaseException], Any] | None = None

    def __post_init__(self) -> None:
        self.policy()

    def policy(self) -> RetryPolicy:
        """Return the policy as it is sent."""
        whole_number("Retry(times=", self.times, 0)
        classes = self.on if isinstance(self.on, tuple) else (self.on,)
        for each in classes:
            if not (isinstance(each, type) and issubclass(each, BaseException)):
                raise TypeError(f"Retry(on=...) takes classes of exceptions, not {each!r}")
        if not self.backoff >= 1.0:
            raise ValueError(f"Retry(backoff={self.backoff!r}): it must be at least 1")
        return RetryPolicy(
            on=[f"{each.__module__}.{each.__qualname__}" for each in classes],
            delay=seconds("Retry(delay=", self.delay),
            backoff=float(self.backoff),
            jitter=bool(self.jitter),
            when=_importable(self.when),
        )


# dask.annotate(retries=...) takes numbers, and nothing else that is no function.
Number.register(Retry)


def _importable(when: Any) -> str:
    if when is None:
        return ""
    if isinstance(when, str):
        if not _NAMED.fullmatch(when):
            raise ValueError(f"Retry(when={when!r}): a text must be of the form 'module:name'")
        return when
    module, name = getattr(when, "__module__", None), getattr(when, "__qualname__", "")
    found: Any = sys.modules.get(module or "")
    for part in name.split("."):
        found = getattr(found, part, None)
    if not callable(when) or found is not when or module == "__main__":
        raise TypeError(
            f"Retry(when=...) takes a function that workers can import, or 'module:name'; "
            f"{when!r} is not found under its name in a module"
        )
    return f"{module}:{name}"


def checked_retries(retries: Any) -> tuple[int, RetryPolicy | None]:
    """Return how often a task is tried again, and how."""
    if retries is None:
        return 0, None
    if isinstance(retries, Retry):
        return min(retries.times, _MOST), retries.policy()
    return min(whole_number("retries=", retries, 0), _MOST), None


def checked_timeout(timeout: Any) -> float:
    """Return how many seconds a run may take; 0 for any number."""
    if timeout is None:
        return 0.0
    found = seconds("timeout=", timeout)
    if not found:
        raise ValueError(f"timeout={timeout!r}: a task needs more than no time; None is any time")
    return found


def seconds(name: str, value: Any) -> float:
    """Return a duration in seconds.

    Raises
    ------
    TypeError, ValueError
        When it is none, or negative, or without an end.
    """
    try:
        found = float(parse_timedelta(value, default="s"))
    except (AttributeError, KeyError, TypeError, ValueError):
        raise ValueError(f"{name}{value!r}: use '30s', '5 minutes' or seconds") from None
    if found < 0 or not isfinite(found):
        raise ValueError(f"{name}{value!r}: it must be a number of seconds, 0 or more")
    return found


def given_to(func: Any, name: str) -> bool:
    """Whether a keyword argument is one that a function takes itself.

    Where that cannot be told, as with some functions in C, it is not.
    """
    try:
        parameters = inspect.signature(func).parameters
    except (TypeError, ValueError):
        return False
    kinds = {parameter.kind for parameter in parameters.values()}
    return name in parameters or inspect.Parameter.VAR_KEYWORD in kinds


def for_task(func: Any, name: str, value: Any, kwargs: dict[str, Any]) -> Any:
    """Return what a keyword says of a task; None where the function itself takes it."""
    if given_to(func, name):
        kwargs[name] = value
        return None
    return value


def with_cache_of(func: Any, cache: Any, kwargs: dict[str, Any]) -> Any:
    """Return a function whose results are kept, where ``cache=`` is not for the function itself."""
    cache = for_task(func, "cache", cache, kwargs)
    return func if cache is None else cached.with_cache(func, cache)
