"""`View`: stands for an object of the core; the base of what plugins see."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, KeysView
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from shoal.scheduler.views.registry import Views

__all__ = ["Ordered", "View"]

V = TypeVar("V", bound="View")


class View:
    """Stands for an object of the core.

    There is one at a time for each object, so views can be compared, and kept in sets.

    Parameters
    ----------
    views : Views
        Where the views of other objects are.
    core : object
        The object that it stands for.
    """

    __slots__ = ("__weakref__", "_core", "_views")

    def __init__(self, views: Views, core: Any) -> None:
        self._views = views
        self._core = core

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        # The result of `run_on_scheduler` is pickled: the text says more than an error.
        return str, (repr(self),)


class Ordered(KeysView[V], Generic[V]):
    """Views of many objects, in their order; each is made when somebody comes to it.

    Parameters
    ----------
    views : Views
        Where the views are.
    kind : type
        Of the views.
    cores : collection
        The objects.
    holds : callable
        Whether an object is among them.
    """

    __slots__ = ("_cores", "_holds", "_kind", "_views")

    def __init__(
        self, views: Views, kind: type[V], cores: Collection[Any], holds: Callable[[Any], bool]
    ) -> None:
        self._views = views
        self._kind = kind
        self._cores = cores
        self._holds = holds

    @classmethod
    def _from_iterable(cls, found: Iterable[Any]) -> set[Any]:
        return set(found)

    def __len__(self) -> int:
        return len(self._cores)

    def __iter__(self) -> Iterator[V]:
        return map(partial(self._views.of, self._kind), self._cores)

    def __contains__(self, view: object) -> bool:
        return isinstance(view, self._kind) and self._holds(view._core)

    def __repr__(self) -> str:
        return f"{{{', '.join(map(repr, self))}}}"
