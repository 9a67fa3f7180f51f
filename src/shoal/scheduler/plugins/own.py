"""The scheduler's plugins: its own, whose hooks are called here, and those that workers and
nannies get, which are opaque here.

The core only lists what happened (`SchedulerState.watch`, `SchedulerState.heard`); hooks are called
after the event, when everything is settled. Without plugins there is nothing to list.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from shoal._base.keys import decode_key
from shoal.plugins.hooks import accepting, call_hook, overrides, run_hook, wait_for_hook
from shoal.scheduler.core_access import PeerAccess
from shoal.scheduler.plugins.graph_report import report_graph
from shoal.wire import messages as m

if TYPE_CHECKING:
    from shoal.scheduler.core.state import TaskState

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
    "valid_workers_downscaling",
    "before_close",
    "close",
)

# Arrivals are told before what they led to; departures after.
_ARRIVALS = ("add-worker", "add-client")


class PluginsHost(PeerAccess, Protocol):
    """A scheduler, as its plugins' registry knows it; hooks get the whole."""

    def listen_to_core(self) -> None:
        """Have the core note what somebody wants to hear of."""


class SchedulerPlugins:
    """The plugins of one scheduler, and which of them is to be told what.

    Parameters
    ----------
    scheduler : Scheduler
        Whose plugins these are.
    """

    def __init__(self, scheduler: PluginsHost) -> None:
        self.scheduler = scheduler
        self.plugins: dict[str, Any] = {}
        self._hooks: dict[str, list[tuple[str, Callable[..., Any]]]] = {h: [] for h in _HOOKS}
        self._moves: list[tuple[str, str, str, str, str | None]] = []
        self._at: dict[str, str] = {}  # key of a processing task -> its worker
        self._outcomes: dict[str, dict[str, Any]] = {}  # a worker's reports of runs, by key
        self._graphs: list[tuple[str, m.Graph]] = []  # that a client sent, with the client

    async def add(self, plugin: Any, name: str, idempotent: bool = False) -> None:
        """Add a plugin and start it.

        Raises
        ------
        Exception
            The exception of its `start`; then it was not added.
        """
        if name in self.plugins:
            if idempotent:
                return
            try:
                await self.remove(name)
            except Exception:
                logger.exception("Plugin %r failed in close()", name)
        start = getattr(plugin, "start", None)
        if start is not None:
            await run_hook(start, self.scheduler)
        self.put(plugin, name)

    def put(self, plugin: Any, name: str) -> None:
        """Add a plugin that needs no start."""
        self.plugins[name] = plugin
        try:
            self._arrange()
        except BaseException:  # a hook that cannot even be looked up
            del self.plugins[name]
            self._arrange()
            raise

    async def remove(self, name: str) -> None:
        """Close a plugin and forget it.

        Raises
        ------
        ValueError
            When there is none of that name.
        Exception
            The exception of its `close`; it is forgotten all the same.
        """
        await run_hook(self.take_out, name)

    def take_out(self, name: str) -> Any:
        """Forget a plugin and call its `close`; return what that returned: wait for it.

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
        close = overrides(plugin, "close")
        return None if close is None else close()

    def hooks(self, hook: str) -> list[tuple[str, Callable[..., Any]]]:
        """Return the methods of that name of all plugins that have one, with the plugins' names."""
        return self._hooks[hook]

    def _arrange(self) -> None:
        """Find out which plugins want to hear of what."""
        for hook in _HOOKS:
            methods = ((name, overrides(plugin, hook)) for name, plugin in self.plugins.items())
            self._hooks[hook] = [
                (name, accepting(method) if hook == "remove_worker" else method)
                for name, method in methods
                if method is not None
            ]
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

    @property
    def wants_graphs(self) -> bool:
        """Whether a plugin wants to hear of graphs."""
        return bool(self._hooks["update_graph"])

    # -- telling plugins ---------------------------------------------------------

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
        self._moves.append((ts.key, start, finish, self.scheduler.state.stimulus, worker))

    def note_outcomes(self, messages: list[Any]) -> None:
        """Keep what a worker says of runs, until the event is over."""
        for message in messages:
            if type(message) is m.Finished:
                for i, key in enumerate(message.keys):
                    self._outcomes[key] = {
                        "nbytes": message.nbytes[i],
                        "type": message.types[i],
                        "typename": message.types[i],
                        "startstops": [_compute(message.starts[i], message.stops[i])],
                        "run_id": message.runs[i],
                    }
            elif type(message) is m.Failed:
                self._outcomes[message.key] = {
                    "exception": message.exception,
                    "traceback": message.traceback,
                    "exception_text": message.exception_text,
                    "traceback_text": message.traceback_text,
                    "startstops": [_compute(message.start, message.stop)],
                    "run_id": message.run,
                }

    def note_graphs(self, client: str, messages: list[Any]) -> None:
        """Keep the graphs that a client sends, until the event is over."""
        self._graphs += [(client, each) for each in messages if type(each) is m.Graph]

    def _tell_moves(self) -> None:
        moves, self._moves = self._moves, []
        outcomes, self._outcomes = self._outcomes, {}
        for key, start, finish, stimulus, worker in moves:
            more = {} if worker is None else {"worker": worker}
            if start == "processing" and key in outcomes:
                more |= outcomes[key]
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

    def tell_all(self, heard: list[tuple[str, float, Any]]) -> None:
        """Tell of what was logged in an event, of graphs and transitions, as one led to the other.

        Arrivals and graphs are told before the transitions, departures after them.
        """
        later = []
        for topic, _, message in heard:
            if _action(topic, message) in _ARRIVALS:
                self._tell_news(topic, message)
            else:
                later.append((topic, message))
        graphs, self._graphs = self._graphs, []
        for client, graph in graphs:
            self._tell_graph(client, graph)
        if self._moves:
            self._tell_moves()
        self._outcomes.clear()
        for topic, message in later:
            self._tell_news(topic, message)

    def _tell_news(self, topic: str, message: Any) -> None:
        """Tell of an event that was logged; the core logs which workers came and went."""
        for name, hook in self._hooks["log_event"]:
            # Each gets its own: what one changes is not what others are told, nor what is logged.
            self._call(name, "log_event", hook, topic, _own(message))
        scheduler = self.scheduler
        match _action(topic, message):
            case "add-worker":
                self.call("add_worker", scheduler=scheduler, worker=message["worker"])
            case "remove-worker":
                self.call(
                    "remove_worker",
                    scheduler=scheduler,
                    worker=message["worker"],
                    stimulus_id=scheduler.state.stimulus,
                    reason=message["reason"],
                    expected=message["expected"],
                )
            case "add-client":
                self.call("add_client", scheduler=scheduler, client=message["client"])
            case "remove-client":
                self.call("remove_client", scheduler=scheduler, client=message["client"])

    def _tell_graph(self, client: str, graph: m.Graph) -> None:
        stimulus = self.scheduler.state.stimulus
        told = report_graph(self.scheduler, client, graph)
        self.call("update_graph", self.scheduler, **told, stimulus_id=stimulus)

    def call(self, hook: str, *args: Any, **kwargs: Any) -> None:
        """Call a hook of all plugins; coroutines run beside."""
        for name, function in self._hooks[hook]:
            self._call(name, hook, function, *args, **kwargs)

    def _call(
        self, name: str, hook: str, function: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> None:
        result = call_hook(logger, name, hook, function, *args, **kwargs)
        if inspect.isawaitable(result):
            self.scheduler.background(wait_for_hook(logger, name, hook, result))

    async def call_and_wait(self, hook: str) -> None:
        """Call a hook without arguments of all plugins, one after the other."""
        for name, function in list(self._hooks[hook]):
            await wait_for_hook(logger, name, hook, call_hook(logger, name, hook, function))


def _own(message: Any) -> Any:
    return message.copy() if type(message) in (dict, list) else message


def _action(topic: str, message: Any) -> Any:
    return message.get("action") if topic == "all" and type(message) is dict else None


def _compute(start: float, stop: float) -> dict[str, Any]:
    return {"action": "compute", "start": start, "stop": stop}
