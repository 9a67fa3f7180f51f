"""Programs that go on where they were killed: steps whose results are on the storage."""

from __future__ import annotations

import functools
import inspect
from collections import Counter
from collections.abc import Callable
from hashlib import blake2b
from typing import Any

from shoal.cache.cached import Cached
from shoal.cache.fingerprint import Unnamable, fingerprint, token_of
from shoal.cache.store import MISSING, store_of

__all__ = ["durable"]


class durable:  # as a function of lower case: it makes decorators
    """Steps of a program that run once, also when the program is killed and started again.

    A step is known by its function's code, its arguments, and how often the same was called before.
    When a step has run, its result is on the storage; started again, the program gets that, and
    goes on with the first step that had not ended. The code between the steps runs each time.

    Parameters
    ----------
    cache : str, path or Store
        Where results of steps are: a folder, or an address that fsspec knows.
    program : str
        Programs that share a store have different names.

    Raises
    ------
    Exception
        By a step: what the storage raises. A program that is to be durable does not go on without.

    Examples
    --------
    >>> step = durable("nightly", program="import")
    >>> @step
    ... def load(day):
    ...     return [day]
    >>> rows = load("2026-11-30")  # doctest: +SKIP
    >>> total = step.run(sum, [1, 2, 3])  # doctest: +SKIP
    """

    def __init__(self, cache: Any, program: str = "") -> None:
        self._store = store_of(cache)
        self._program = program
        self._calls: Counter[str] = Counter()

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Decorate a function: each call of it is a step."""
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def step_async(*args: Any, **kwargs: Any) -> Any:
                name = self._name(function, args, kwargs)
                found = self._store.get(name, MISSING)
                if found is MISSING:
                    found = await function(*args, **kwargs)
                    self._keep(name, function, found)
                return found

            return step_async

        @functools.wraps(function)
        def step(*args: Any, **kwargs: Any) -> Any:
            return self.run(function, *args, **kwargs)

        return step

    def run(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a function as a step, and return what it returns, or what it returned."""
        name = self._name(function, args, kwargs)
        found = self._store.get(name, MISSING)
        if found is MISSING:
            found = function(*args, **kwargs)
            self._keep(name, function, found)
        return found

    def forget(self) -> int:
        """Drop the results of all steps of this program; return how many there were."""
        mine = f"{self._program}:"
        names = [entry.name for entry in self._store.ls() if entry.function.startswith(mine)]
        for name in names:
            self._store.rm(name)
        self._calls.clear()
        return len(names)

    def _keep(self, name: str, function: Callable[..., Any], result: Any) -> None:
        what = getattr(function, "__qualname__", type(function).__qualname__)
        self._store.put(name, result, f"{self._program}:{what}", now=True)

    def _name(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> str:
        what = getattr(function, "__qualname__", type(function).__qualname__)
        try:
            known = (
                function.__shoal_fingerprint__()
                if isinstance(function, Cached)
                else fingerprint(function)
            )
            same = "\n".join((self._program, known, token_of(args, sorted(kwargs.items()))))
        except Unnamable as error:
            raise Unnamable(
                f"the step {what} cannot be found again after a restart: {error}. Give it texts, "
                "numbers, arrays or frames; not futures, which are gone with their cluster"
            ) from error
        count = self._calls[same]
        self._calls[same] += 1
        text = "\n".join((same, self._store.version, str(count)))
        return blake2b(text.encode(), digest_size=20).hexdigest()
