"""`WorkerPlugin`: what a worker tells to users' code in its process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shoal.plugins.hooks import defaults

if TYPE_CHECKING:
    from shoal.worker.worker import Worker

__all__ = ["WorkerPlugin"]


@defaults
class WorkerPlugin:
    """Base class of plugins of workers; override the hooks that matter.

    A plugin is pickled at the client, and every worker, those that come later too, has a copy of
    its own. All hooks run on the worker's event loop. One that raises is named in the log.

    Attributes
    ----------
    name : str
        A plugin replaces an older one of the same name. Random when it is missing.
    idempotent : bool
        True: an older plugin of the same name stays, and this one is dropped.

    Examples
    --------
    >>> class ErrorLogger(WorkerPlugin):
    ...     def setup(self, worker):
    ...         self.worker = worker
    ...
    ...     def transition(self, key, start, finish, *args, **kwargs):
    ...         if finish == "error":
    ...             self.worker.log_event("failed", {"key": str(key)})
    >>> client.register_plugin(ErrorLogger())  # doctest: +SKIP
    """

    idempotent: bool = False

    def setup(self, worker: Worker) -> Any:
        """Begin: the plugin is on this worker. May be a coroutine function.

        A worker that joins runs it before its first task.
        """

    def teardown(self, worker: Worker) -> Any:
        """End: the worker closes, or the plugin is removed. May be a coroutine function."""

    def transition(self, key: Any, start: str, finish: str, **kwargs: Any) -> None:
        """A task changed its state here.

        Parameters
        ----------
        key : str or tuple
            Of the task.
        start, finish : str
            States before and after: released, waiting (for its inputs), ready (in the queue of
            the threads), executing, long-running, memory, error, rescheduled; and flight (being
            fetched from another worker).
        **kwargs
            Arguments that later versions may add.
        """

    def release_key(
        self, key: Any, state: str, cause: str | None, reason: None, report: bool
    ) -> None:
        """A key was dropped that was here in this state."""
