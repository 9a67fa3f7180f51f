"""A client's graph, as plugins are told of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shoal._base.keys import decode_key
from shoal.wire import messages as m
from shoal.wire.annotations import OWN

if TYPE_CHECKING:
    from shoal.scheduler.core_access import CoreAccess

__all__ = ["report_graph"]

_PLAIN = m.TaskOptions()
_OPTIONS = ("workers", "allow_other_workers", "resources", "retries", "actor", "executor")


def report_graph(scheduler: CoreAccess, client: str, graph: m.Graph) -> dict[str, Any]:
    """Return the arguments of the hook `update_graph`."""
    names = [decode_key(key) for key in graph.keys]
    wanted = range(len(names)) if graph.wanted is None else graph.wanted
    known = scheduler.state.tasks
    return {
        "client": client,
        "keys": {names[i] for i in wanted},
        "tasks": names,
        "annotations": _annotations(names, graph),
        "priority": {
            name: known[key].priority for name, key in zip(names, graph.keys) if key in known
        },
    }


def _annotations(names: list[Any], graph: m.Graph) -> dict[str, dict[Any, Any]]:
    found: dict[str, dict[Any, Any]] = {}
    if graph.priority:
        found["priority"] = dict.fromkeys(names, graph.priority)
    if not graph.options:
        return found
    for i, name in enumerate(names):
        which = graph.option_of[i] if graph.option_of else 0
        if which < 0:
            continue
        options = graph.options[which]
        for field in _OPTIONS:
            value = getattr(options, field)
            if value != getattr(_PLAIN, field):
                found.setdefault(field, {})[name] = value
        for field, value in (options.annotations or {}).items():
            if field in OWN:
                continue
            found.setdefault(field, {})[name] = value
    return found
