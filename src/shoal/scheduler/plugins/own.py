"""The scheduler's plugins: its own, whose hooks are called here, and those that workers and
nannies get, which are opaque here.

The core only lists what happened (`SchedulerState.watch`, `SchedulerState.heard`); hooks are called
after the event, when everything is settled. Without plugins there is nothing to list.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from shoal._base.keys import decode_key
from shoal.plugins.hooks import call_hook, overrides, wait_for_hook
from shoal.plugins.scheduler import SchedulerPlugin
from shoal.scheduler.plugins.graph_report import report_graph
from shoal.wire import messages as m

if TYPE_CHECKING:
    from shoal.scheduler.core.state import TaskState
    from shoal.scheduler.scheduler import Scheduler

__all__ = ["SchedulerPlugins"]

logger = logging.getLogger("shoal.scheduler.plugins.own")

_HOOKS = (
    "update_graph",
    "restart",
    "transition",
    "add_worker",
    "remove_worker",
    "add_client",
    "remove_client",
    "log_event",
    "before_close",
    "close",
)


class SchedulerPlugins:
    """The plugins of one scheduler, and who is to be told what.

    Parameters
    ----------
    scheduler : Scheduler
        Whose plugins these are.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self.plugins: dict[str, Any] = {}
        self._hooks: dict[str, list[tuple[str, Callable[..., Any]]]] = {h: [] for h in _HOOKS}
        self._moves: list[tuple[str, str, str, str, str | None]] = []
        self._at: dict[str, str] = {}  # key of a processing task -> its worker

    async def add(self, plugin: Any, name: str, idempotent: bool = False) -> None:
        """Add a plugin and start it.

        Raises
        ------
        Exception
            Whatever its `start` raises; then it was not added.
        """
        if name in self.plugins:
            if idempotent:
                return
            await self.remove(name)
        start = getattr(plugin, "start", None)
        if start is not None:
            result = start(self.scheduler)
            if inspect.isawaitable(result):
                await result
        self.put(plugin, name)

    def put(self, plugin: Any, name: str) -> None:
        """Add a plugin that needs no start."""
        self.plugins[name] = plugin
        self._arrange()

    async def remove(self, name: str) -> None:
        """Close a plugin and forget it.

        Raises
        ------
        ValueError
            When there is none of that name.
        """
        if name not in self.plugins:
            known = ", ".join(map(repr, self.plugins)) or "none"
            raise ValueError(f"there is no scheduler plugin {name!r}; there are: {known}")
        plugin = self.plugins.pop(name)
        self._arrange()
        close = overrides(plugin, SchedulerPlugin, "close")
        if close is not None:
            await wait_for_hook(logger, name, "close", call_hook(logger, name, "close", close))

    def _arrange(self) -> None:
        """Find out who wants to hear of what."""
        for hook in _HOOKS:
            methods = (
                (name, overrides(plugin, SchedulerPlugin, hook))
                for name, plugin in self.plugins.items()
            )
            self._hooks[hook] = [(name, method) for name, method in methods if method is not None]
        self.scheduler.listen_to_core()

    @property
    def wants_transitions(self) -> bool:
        """Whether a plugin wants to hear of transitions."""
        return bool(self._hooks["transition"])

    @property
    def wants_news(self) -> bool:
        """Whether a plugin wants to hear of what is logged as an event."""
        hooks = ("add_worker", "remove_worker", "add_client", "remove_client", "log_event")
        return any(self._hooks[hook] for hook in hooks)

    # -- what happened -----------------------------------------------------------

    def note_move(self, ts: TaskState, start: str, finish: str) -> None:
        """Keep a transition until the event is over. Called by the core."""
        worker = None
        if finish == "processing":
            worker = self._at[ts.key] = ts.worker.address if ts.worker is not None else ""
        elif start == "processing":
            worker = self._at.pop(ts.key, None)
        elif finish == "erred" and start == "waiting" and self._moves:
            last = self._moves[-1]
            if last[:3] == (ts.key, "processing", "waiting"):
                # A failed run passes through `waiting`: nobody is to take that for another try.
                self._moves[-1] = (ts.key, "processing", "erred", last[3], last[4])
                return
        self._moves.append((ts.key, start, finish, self.scheduler.core.state.stimulus, worker))

    def tell_moves(self) -> None:
        """Tell of the transitions of an event."""
        moves, self._moves = self._moves, []
        for key, start, finish, stimulus, worker in moves:
            more = {} if worker is None else {"worker": worker}
            name = decode_key(key)
            for plugin, hook in self._hooks["transition"]:
                call_hook(
                    logger,
                    plugin,
                    "transition",
                    hook,
                    name,
                    start,
                    finish,
                    stimulus_id=stimulus,
                    **more,
                )

    @property
    def moves(self) -> bool:
        """Whether there are transitions to tell of."""
        return bool(self._moves)

    def tell_news(self, topic: str, message: Any) -> None:
        """Tell of an event that was logged; the core logs who came and went."""
        self.call("log_event", topic, message)
        if topic != "all" or type(message) is not dict:
            return
        scheduler = self.scheduler
        action = message.get("action")
        if action == "add-worker":
            self.call("add_worker", scheduler, message["worker"])
        elif action == "remove-worker":
            self.call(
                "remove_worker",
                scheduler,
                message["worker"],
                stimulus_id=scheduler.core.state.stimulus,
                reason=message["reason"],
                expected=message["expected"],
            )
        elif action == "add-client":
            self.call("add_client", scheduler, message["client"])
        elif action == "remove-client":
            self.call("remove_client", scheduler, message["client"])

    def tell_graph(self, client: str, graph: m.Graph) -> None:
        """Tell of tasks that a client sent."""
        if self._hooks["update_graph"]:
            self.call("update_graph", self.scheduler, **report_graph(self.scheduler, client, graph))

    def call(self, hook: str, *args: Any, **kwargs: Any) -> None:
        """Call a hook of all plugins; coroutines run beside."""
        for name, function in self._hooks[hook]:
            result = call_hook(logger, name, hook, function, *args, **kwargs)
            if inspect.isawaitable(result):
                self.scheduler.background(wait_for_hook(logger, name, hook, result))

    async def call_and_wait(self, hook: str) -> None:
        """Call a hook without arguments of all plugins, one after the other."""
        for name, function in list(self._hooks[hook]):
            await wait_for_hook(logger, name, hook, call_hook(logger, name, hook, function))
