"""`SchedulerPlugin`: what a scheduler tells to users' code in its process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shoal.plugins.hooks import defaults

if TYPE_CHECKING:
    from shoal.scheduler.scheduler import Scheduler
    from shoal.scheduler.views.worker import WorkerState

__all__ = ["SchedulerPlugin"]


@defaults
class SchedulerPlugin:
    """Base class of plugins of the scheduler; override the hooks that matter.

    Hooks run on the scheduler's event loop after the event they tell of, so that what they look
    up is settled. They should return soon: the whole cluster waits. One that raises is named in
    the log, and everything goes on.

    Attributes
    ----------
    name : str
        A plugin replaces an older one of the same name. Random when it is missing.
    idempotent : bool
        True: an older plugin of the same name stays, and this one is dropped.

    Examples
    --------
    >>> class Counter(SchedulerPlugin):
    ...     def __init__(self):
    ...         self.counter = 0
    ...
    ...     def transition(self, key, start, finish, *args, **kwargs):
    ...         if start == "processing" and finish == "memory":
    ...             self.counter += 1
    >>> client.register_plugin(Counter(), name="counter")  # doctest: +SKIP
    """

    idempotent: bool = False

    async def start(self, scheduler: Scheduler) -> None:
        """Begin: the plugin was added to this scheduler. May be a plain function."""

    async def before_close(self) -> None:
        """The scheduler is about to close; all connections are still there."""

    async def close(self) -> None:
        """The scheduler closes, or the plugin is removed."""

    def update_graph(
        self,
        scheduler: Scheduler,
        *,
        client: str,
        keys: set[Any],
        tasks: list[Any],
        annotations: dict[str, dict[Any, Any]],
        priority: dict[Any, tuple[float, ...]],
        stimulus_id: str,
        **kwargs: Any,
    ) -> None:
        """A client sent tasks.

        Parameters
        ----------
        scheduler : Scheduler
            The scheduler.
        client : str
            Id of the client.
        keys : set
            Keys whose results the client wants.
        tasks : list
            All keys of the graph.
        annotations : dict
            Values by key, by annotation (``{"resources": {"x": {"GPU": 1}}}``).
        priority : dict
            By key, as the scheduler has it; smaller runs first.
        stimulus_id : str
            Of the event. Their dependencies are in ``scheduler.tasks[key].dependencies``.
        **kwargs
            Arguments that later versions may add.
        """

    def restart(self, scheduler: Scheduler) -> None:
        """All tasks were forgotten (`Client.restart`)."""

    def transition(
        self, key: Any, start: str, finish: str, *args: Any, stimulus_id: str, **kwargs: Any
    ) -> None:
        """A task changed its state.

        Parameters
        ----------
        key : str or tuple
            Of the task.
        start, finish : str
            States before and after: released, waiting, no-worker, queued, processing, memory,
            erred, forgotten.
        stimulus_id : str
            Of the event that caused it.
        **kwargs
            `worker` (the address) from and to ``processing``. Of what ended also `startstops` (a
            list of dicts with `action`, `start` and `stop`), and `nbytes`, `type` and `typename` of
            the result, or `exception`, `traceback` (both pickled) and their texts. More arguments
            that later versions may add.
        """

    def add_worker(self, scheduler: Scheduler, worker: str) -> Any:
        """A worker joined. May be a coroutine function."""

    def remove_worker(
        self, scheduler: Scheduler, worker: str, *, stimulus_id: str, **kwargs: Any
    ) -> Any:
        """A worker left or was lost; `reason` and `expected` say more. May be a coroutine
        function.
        """

    def valid_workers_downscaling(
        self, scheduler: Scheduler, workers: list[WorkerState]
    ) -> list[WorkerState]:
        """Return those of the workers that may be closed, when some are to be."""
        return workers

    def add_client(self, scheduler: Scheduler, client: str) -> None:
        """A client connected."""

    def remove_client(self, scheduler: Scheduler, client: str) -> None:
        """A client left or was lost."""

    def log_event(self, topic: str, msg: Any) -> None:
        """An event was logged under a topic."""
