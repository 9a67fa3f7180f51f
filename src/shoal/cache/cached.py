"""Functions whose results are looked up in a store before they are computed.

A call's name is made of the function (`fingerprint`), its arguments and the store's version, where
the call is made: so of futures the values count, not their keys.
"""

from __future__ import annotations

import functools
import inspect
import logging
import sys
from collections.abc import Callable
from hashlib import blake2b
from typing import Any, TypeVar

from shoal.cache.fingerprint import Unnamable, fingerprint, token_of
from shoal.cache.store import MISSING, Store, store_of

__all__ = ["Cached", "cached", "with_cache"]

logger = logging.getLogger("shoal.cache")

F = TypeVar("F", bound=Callable[..., Any])

_unnamable: set[str] = set()  # functions of which it was said


class Cached:
    """A function with a store.

    Parameters
    ----------
    function : callable
        The function.
    store : Store
        Where its results are.
    known : str, optional
        Its fingerprint, where that was made already: where its code is at hand.
    """

    def __init__(self, function: Callable[..., Any], store: Store, known: str = "") -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self._store = store
        self._known = known

    def __repr__(self) -> str:
        return f"<cached {self._function!r} in {self._store!r}>"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        name = self._name(args, kwargs)
        if not name:
            return self._function(*args, **kwargs)
        found = self._store.try_get(name)
        if found is MISSING:
            found = self._function(*args, **kwargs)
            self._store.try_put(name, found, self.__shoal_name__)
        return found

    @property
    def __shoal_name__(self) -> str:
        function: Any = self._function
        while isinstance(function, functools.partial):
            function = function.func
        return str(getattr(function, "__qualname__", type(function).__qualname__))

    def __shoal_fingerprint__(self) -> str:
        if not self._known:
            self._known = fingerprint(self._function)
        return self._known

    def __dask_tokenize__(self) -> Any:
        return ("shoal.cached", self.__shoal_fingerprint__(), self._store.__dask_tokenize__())

    def __reduce__(self) -> Any:
        module, name = getattr(self, "__module__", None), getattr(self, "__qualname__", "")
        found: Any = sys.modules.get(module or "") if module != "__main__" else None
        for part in name.split("."):
            found = getattr(found, part, None)
        if found is self:
            return name  # as a decorated function of a module, it is pickled as its name
        return type(self), (self._function, self._store, self.__shoal_fingerprint__())

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def _name(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        """Return the name of a call; empty, said once, where it has none."""
        try:
            arguments = token_of(args, sorted(kwargs.items()))
            parts = (self.__shoal_fingerprint__(), self._store.version, arguments)
        except Unnamable as error:
            if self.__shoal_name__ not in _unnamable:
                _unnamable.add(self.__shoal_name__)
                logger.warning("Results of %s are not kept: %s", self.__shoal_name__, error)
            return ""
        return blake2b("\n".join(parts).encode(), digest_size=20).hexdigest()


class _CachedCoroutine(Cached):
    """The same of a coroutine function."""

    async def __call__(self, *args: Any, **kwargs: Any) -> Any:
        name = self._name(args, kwargs)
        found = self._store.try_get(name) if name else MISSING
        if found is MISSING:
            found = await self._function(*args, **kwargs)
            if name:
                self._store.try_put(name, found, self.__shoal_name__)
        return found


def with_cache(function: Callable[..., Any], cache: Any) -> Cached:
    """Return a function with a store.

    Raises
    ------
    TypeError
        When `cache` is no store, or the function has no name that lasts.
    """
    store = store_of(cache)
    if isinstance(function, Cached):
        function = function._function
    if not callable(function):
        raise TypeError(f"only results of functions are kept, got {function!r}")
    kind = _CachedCoroutine if inspect.iscoroutinefunction(function) else Cached
    made = kind(function, store)
    made.__shoal_fingerprint__()  # here, where its code is at hand
    return made


def cached(cache: Any, *, version: str = "", expire: str | float | None = None) -> Callable[[F], F]:
    """Decorate a function: its results are kept in a store, and looked up before it is called.

    Parameters
    ----------
    cache : str, path or Store
        A folder, or an address that fsspec knows.
    version : str
        Say another one when results are to be computed again though the code is the same.
    expire : str or float, optional
        How long a result is good.

    Returns
    -------
    callable
        A decorator. The function it makes can be called, and submitted, as the function itself.

    Examples
    --------
    >>> @cached("results", version="2")
    ... def simulate(n):
    ...     return n ** 2
    >>> client.map(simulate, range(100))  # doctest: +SKIP
    """
    if not isinstance(cache, Store):
        cache = Store(store_of(cache).url, version=version, expire=expire)
    elif version or expire is not None:
        raise TypeError("version= and expire= are the Store's: give them to it")

    def decorate(function: F) -> F:
        made: Any = with_cache(function, cache)
        return made  # type: ignore[no-any-return]

    return decorate
