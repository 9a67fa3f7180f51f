"""The common part of locks and semaphores: something is acquired, held, and released.

A held thing is known by the number of the ask that it was the answer to, and held by a client,
not by a thread: another thread may release what one acquired through the same object.

Tasks that wait for these leave their thread later than others, and never wait to come back: see
`at_lock`.
"""

from __future__ import annotations

import logging
import uuid
from collections import deque
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from shoal.coordination.asking import Name, Named, Seconds
from shoal.task_context import at_lock

if TYPE_CHECKING:
    from shoal.client.core.asks import Asking
    from shoal.client.session.context import ClientContext
    from shoal.client.session.session import Session

__all__ = ["Holdable"]

logger = logging.getLogger("shoal.coordination")


class Holdable(Named):
    """A lock, several locks or a semaphore. Subclasses say what is acquired."""

    def __init__(self, name: Name | None = None, client: ClientContext | None = None) -> None:
        super().__init__(name, client)
        self.id = uuid.uuid4().hex  # of this object, of which there may be several for a name
        # The asks whose answers this object holds, oldest first: the client and the ask's number.
        self._held: deque[tuple[ClientContext, int]] = deque()

    def _acquire(self, *args: Any, timeout: Seconds, claim: list[Any]) -> Any:
        with at_lock():
            return self._ask(
                "acquire",
                *args,
                timeout=timeout,
                late=False,
                load=self._remember,
                claim=("claim", claim),
            )

    def _remember(self, session: Session, asking: Asking) -> bool:
        self._held.append((session.client, asking.ask.id))
        return True

    def _release(self) -> Any:
        """Release the oldest of what this object holds."""
        try:
            client, number = self._held.popleft()
        except IndexError:
            raise RuntimeError(
                f"cannot release the {self.kind} {self.name!r}: this object has not acquired it"
            ) from None
        with at_lock():
            return self._tell(
                "release", number, load=self._released, gives_back=number, through=client
            )

    def _released(self, session: Session, asking: Asking) -> bool:
        answer = asking.answer
        assert answer is not None
        if not answer.value:
            logger.warning(
                "the %s %r was not held any more when it was released: its client was not heard of "
                "for too long, the scheduler began anew, or it was closed",
                self.kind,
                self.name,
            )
        return bool(answer.value)

    def __enter__(self) -> Self:
        self._check_blocking("with")
        self.acquire()  # type: ignore[attr-defined]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.release()  # type: ignore[attr-defined]

    async def __aenter__(self) -> Self:
        acquired = self.acquire()  # type: ignore[attr-defined]
        await acquired
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        released = self.release()  # type: ignore[attr-defined]
        await released

    def _check_blocking(self, statement: str) -> None:
        if self.client.asynchronous:
            raise RuntimeError(f"this client is asynchronous: use `async {statement}`")


def wait_time(blocking: bool, timeout: Seconds) -> Seconds:
    """Return how long to wait, as `threading.Lock.acquire` understands its arguments."""
    if blocking:
        return timeout
    if timeout is not None:
        raise ValueError("a timeout makes no sense when blocking is False")
    return 0
