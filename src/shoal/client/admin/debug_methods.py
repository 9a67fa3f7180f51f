"""Methods of `Client` for people who look for the reason of something."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from shoal._base.later import later
from shoal.client.observe.event_handlers import TopicHandlers
from shoal.client.session.context import ClientContext

if TYPE_CHECKING:
    from shoal.client.admin import recreate
    from shoal.client.observe import forwarding, hardware
else:
    recreate = later("shoal.client.admin.recreate")
    forwarding = later("shoal.client.observe.forwarding")
    hardware = later("shoal.client.observe.hardware")

__all__ = ["DebugMethods"]


class DebugMethods(ClientContext):
    """Tasks run here, logs of workers told here, the workers' hardware measured."""

    _topics: TopicHandlers

    def recreate_task_locally(self, future: Any) -> Any:
        """Run a task here, with its inputs, to look at it with a debugger.

        Parameters
        ----------
        future : Future, collection or key
            The task.

        Returns
        -------
        object
            The result of the task; in asynchronous code an awaitable of it.

        Examples
        --------
        >>> future = client.submit(div, 1, 0)  # doctest: +SKIP
        >>> client.recreate_task_locally(future)  # doctest: +SKIP
        ZeroDivisionError: division by zero
        """
        return self._recreate(future, failed=False)

    def recreate_error_locally(self, future: Any) -> Any:
        """Run the task here that is to blame for a failure; it should fail here too.

        Parameters
        ----------
        future : Future or collection
            The future that failed; the task to blame may be one that it needs.

        Raises
        ------
        ValueError
            When it did not fail.
        Exception
            The exception of the task, with all its frames, for ``%debug`` and `pdb.pm`.
        """
        return self._recreate(future, failed=True)

    def _recreate(self, what: Any, failed: bool) -> Any:
        if self.asynchronous:
            return self._recreate_async(what, failed)
        recipe = self.sync(recreate.fetch_recipe, self, what, failed=failed)
        return recreate.call_here(self, recipe)

    async def _recreate_async(self, what: Any, failed: bool) -> Any:
        recipe = await recreate.fetch_recipe(self, what, failed=failed)
        result = recreate.call_here(self, recipe)
        return await result if hasattr(result, "__await__") else result

    def forward_logging(
        self, logger_name: str | None = None, level: int | str = logging.INFO
    ) -> Any:
        """Handle what a logger of workers handles, and those below it, here too.

        Records go to the logger of the same name here, if its level lets them pass. On the workers
        they have to pass the level of the logger there, and `level`.

        Parameters
        ----------
        logger_name : str, optional
            The logger; the root, and so all, by default.
        level : int or str
            Records below it stay where they are.

        Examples
        --------
        >>> client.forward_logging("myapp", level=logging.DEBUG)  # doctest: +SKIP
        """
        return self.sync(forwarding.forward_logging, self, self._topics, logger_name, level)

    def unforward_logging(self, logger_name: str | None = None) -> Any:
        """End what `forward_logging` began for a logger."""
        return self.sync(forwarding.unforward_logging, self, self._topics, logger_name)

    def benchmark_hardware(self) -> Any:
        """Measure the bandwidths of the workers' memory, disks and network.

        Returns
        -------
        dict
            ``memory``, ``disk`` and ``network``: bytes a second by size (texts such as
            ``"1 MiB"``), averages of all workers. With one worker there is no network to look at.

        Examples
        --------
        >>> client.benchmark_hardware()["memory"]["1 MiB"]  # doctest: +SKIP
        11268359168.0
        """
        return self.sync(hardware.benchmark_hardware, self)
