"""Context managers that begin and end with a request: one base for blocking and asynchronous code.

Their requests to the cluster are in the modules beside this one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from shoal.client.session.context import ClientContext

__all__ = ["ClientBlock"]

T = TypeVar("T")


class ClientBlock(ABC, Generic[T]):
    """A block of code of a client's user: ``with`` in blocking code, ``async with`` otherwise.

    Subclasses say which client is meant, and what is asked before and after the block.
    """

    @abstractmethod
    def _client_of_block(self) -> ClientContext:
        """Return the client whose cluster is looked at."""

    @abstractmethod
    async def _begin(self) -> T:
        """Do what comes before the block; return what ``as`` names."""

    @abstractmethod
    async def _end(self, error: BaseException | None) -> None:
        """Do what comes after the block; `error` is what ended it, if it failed."""

    def __enter__(self) -> T:
        client = self._client_of_block()
        if client.asynchronous:
            name = type(self).__name__
            raise TypeError(f"the client is asynchronous: use `async with` with {name}")
        begun: T = client.sync(self._begin)
        return begun

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._client_of_block().sync(self._end, error)

    async def __aenter__(self) -> T:
        return await self._begin()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._end(error)
