"""`get_task_metadata`: what became of the tasks of a block of code."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from shoal._base.keys import decode_key
from shoal.client.current import current_client
from shoal.client.observe.block import ClientBlock

if TYPE_CHECKING:
    from shoal.client.session.context import ClientContext

__all__ = ["TaskMetadata", "get_task_metadata"]


class TaskMetadata:
    """The metadata that `get_task_metadata` collected.

    Attributes
    ----------
    metadata : dict
        By key: where and when a task ended, and the type and size of its result.
    state : dict
        By key: ``"memory"`` or ``"erred"``.
    """

    def __init__(self) -> None:
        self.metadata: dict[Any, dict[str, Any]] = {}
        self.state: dict[Any, str] = {}

    def __repr__(self) -> str:
        return f"<TaskMetadata of {len(self.state)} tasks>"


class get_task_metadata(ClientBlock[TaskMetadata]):
    """Collect what becomes of tasks that are submitted and end inside of this block.

    Examples
    --------
    >>> with get_task_metadata() as tasks:  # doctest: +SKIP
    ...     x.compute()
    >>> tasks.metadata  # doctest: +SKIP
    >>> tasks.state  # doctest: +SKIP
    """

    _client: ClientContext | None = None

    def __init__(self) -> None:
        self.name = f"task-metadata-{uuid.uuid4().hex}"
        self._found = TaskMetadata()

    def _client_of_block(self) -> ClientContext:
        if self._client is None:
            self._client = current_client()
        return self._client

    async def _begin(self) -> TaskMetadata:
        client = await self._client_of_block()
        await client.scheduler.start_task_metadata(name=self.name)
        return self._found

    async def _end(self, error: BaseException | None) -> None:
        told = await self._client_of_block().scheduler.stop_task_metadata(name=self.name)
        found = self._found
        found.metadata = {decode_key(key): known for key, known in told["metadata"].items()}
        found.state = {decode_key(key): state for key, state in told["state"].items()}
