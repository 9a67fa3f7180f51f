"""Users' options for tasks of graphs: arguments of `compute` and annotations, by key or for all.

An option of one key wins over one of all keys, and an argument over an annotation of the
same kind. Annotations of layers and expressions are per key, those around the call are for all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from dask.base import get_annotations, is_dask_collection
from dask.utils import parse_timedelta

from shoal._base.later import later
from shoal._base.numbers import finite
from shoal._base.resources import requested_amounts
from shoal.client.collections.dask_private import flatten
from shoal.client.futures.future import Future
from shoal.client.submission.limits import checked_retries, checked_timeout
from shoal.client.submission.submit import as_workers, checked_executor, sendable
from shoal.client.submission.users_code import users_code
from shoal.task_context import nearness
from shoal.telemetry import submit_context
from shoal.wire.messages import TaskOptions

if TYPE_CHECKING:
    from shoal.cache import store
    from shoal.cache.store import Store
    from shoal.client.collections.graphs import Annotated
else:
    store = later("shoal.cache.store")

__all__ = ["Chosen", "Options"]

Chosen: TypeAlias = tuple[float, TaskOptions | None]
"""The priority and the other options of a task."""

_NAMES = (
    "workers",
    "allow_other_workers",
    "resources",
    "retries",
    "priority",
    "actors",
    "timeout",
    "cache",
)
_DEFAULTS: tuple[Any, ...] = (None, False, {}, 0)  # values of arguments that were not given


class Options:
    """A user's options for the tasks of one graph.

    Parameters
    ----------
    workers : str, list of str, or dict
        Where tasks may run; a dict says it by key, tuple of keys, or collection.
    allow_other_workers : bool, list or dict
        Whether others may run them when none of `workers` is there; a list: for these keys.
    resources, retries, priority, actors, timeout, cache : as in `Client.submit`, or dict
        For all tasks, or by key or collection.
    fifo_timeout : float or str
        Calls within this time have the same priority.
    """

    def __init__(self, *, fifo_timeout: float | str = "60s", **asked: Any) -> None:
        try:
            seconds = parse_timedelta(fifo_timeout, default="s")
            self.fifo_timeout = finite("fifo_timeout=", seconds, 0.0)
        except (KeyError, TypeError) as error:
            raise ValueError(f"fifo_timeout={fifo_timeout!r}: use '60s' or a number") from error
        around = {**get_annotations(), **users_code(), **submit_context("graph")}
        if "actor" in around:
            around["actors"] = around.pop("actor")
        self._for_all: dict[str, Any] = {}
        self._by_key: dict[str, dict[Any, Any]] = {}
        self._by_call: dict[str, Callable[[Any], Any]] = {}
        for name, value in around.items():
            if callable(value):
                self._by_call[name] = value
            else:
                self._for_all[name] = value
        for name in _NAMES:
            self._take(name, asked.get(name))
        self._cache = self._for_all.pop("cache", None)
        self._known: dict[str, Chosen] = {}
        self._plain: Chosen | None = None

    def annotate(self, annotations: Annotated) -> None:
        """Add the annotations of layers and expressions."""
        for name, values in annotations.items():
            if values:
                self._by_key[name] = {**values, **self._by_key.get(name, {})}

    def stores_of(self, wanted: list[Any]) -> dict[Any, Store]:
        """Return where results are kept, by key: those of annotated tasks, and, where the call
        itself says so, those that are wanted.
        """
        found = {} if self._cache is None else dict.fromkeys(wanted, self._cache)
        found |= self._by_key.pop("cache", {})
        return {key: store.store_of(cache) for key, cache in found.items() if cache is not None}

    def same_for(self, moved: Mapping[Any, Any]) -> None:
        """Have tasks that got another key run as they would have with their own."""
        for values in self._by_key.values():
            values.update({new: values[old] for new, old in moved.items() if old in values})

    def of(self, key: Any) -> Chosen:
        """Return the options of a task."""
        if not self._by_key and not self._by_call:
            if self._plain is None:
                self._plain = _choose(self._for_all)
            return self._plain
        asked = dict(self._for_all)
        for name, function in self._by_call.items():
            asked[name] = function(key)
        for name, values in self._by_key.items():
            if key in values:
                asked[name] = values[key]
        text = repr(sorted(asked.items(), key=_name))
        chosen = self._known.get(text)
        if chosen is None:
            chosen = self._known[text] = _choose(asked)
        return chosen

    def _take(self, name: str, value: Any) -> None:
        if name in ("actors", "allow_other_workers") and (
            is_dask_collection(value) or isinstance(value, (list, tuple, set))
        ):
            value = dict.fromkeys(_targets(value), True)
        elif value in _DEFAULTS:
            return
        per_key = isinstance(value, Mapping) and (
            name != "resources" or all(isinstance(v, Mapping) for v in value.values())
        )
        if not per_key:
            self._for_all[name] = value
            return
        table = self._by_key.setdefault(name, {})
        for target, one in value.items():
            table.update(dict.fromkeys(_keys(target), one))


def _targets(value: Any) -> list[Any]:
    """Return what is meant by a collection, a key, or several of them."""
    if is_dask_collection(value):
        return _keys(value)
    return [key for target in value for key in _keys(target)]


def _name(item: tuple[str, Any]) -> str:
    return item[0]


def _keys(target: Any) -> list[Any]:
    """Return the keys that a key of such a dict means."""
    if isinstance(target, Future):
        return [target.key]
    if is_dask_collection(target):
        return list(flatten(target.__dask_keys__()))
    if isinstance(target, tuple) and all(map(is_dask_collection, target)):
        return [key for one in target for key in _keys(one)]
    if isinstance(target, (tuple, frozenset)):
        # A tuple is a key, or several: nobody has both.
        return [target, *target] if isinstance(target, tuple) else list(target)
    return [target]


def _choose(asked: dict[str, Any]) -> Chosen:
    extra = dict(asked)
    workers = extra.pop("workers", None)
    allow_other_workers = extra.pop("allow_other_workers", False)
    resources = extra.pop("resources", None)
    retries = extra.pop("retries", None)
    priority = extra.pop("priority", None) or 0
    executor = extra.pop("executor", None)
    limit = checked_timeout(extra.pop("timeout", None))
    actor = bool(extra.pop("actors", False))
    options = None
    if workers is not None or resources or retries or executor or extra or actor or limit:
        times, policy = checked_retries(retries)
        options = TaskOptions(
            workers=None if workers is None else as_workers(workers),
            allow_other_workers=bool(allow_other_workers),
            resources=requested_amounts(resources),
            retries=times,
            actor=actor,
            executor=checked_executor(executor),
            annotations=sendable(extra) or None,
            timeout=limit,
            retry=policy,
        )
    return finite("priority=", priority) + nearness(), options
