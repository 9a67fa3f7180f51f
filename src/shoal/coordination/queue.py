"""`Queue`: values and futures, handed from one client or task to another."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from shoal._base.numbers import is_whole, whole_number
from shoal.coordination.asking import Name, Named, Seconds
from shoal.coordination.values import pack, unpack

if TYPE_CHECKING:
    from shoal.client.core.asks import Asking
    from shoal.client.session.context import ClientContext
    from shoal.client.session.session import Session

__all__ = ["Queue"]

_ALL = -1
_SOME = -2  # all that is there, and at least one


class Queue(Named):
    """A queue that clients and tasks share.

    It holds futures and plain data: None, bool, int, float, str, bytes, and lists, tuples, sets and
    dicts of them. All of it is kept by the scheduler; scatter what is large, and put the future.

    Parameters
    ----------
    name : str, number or tuple of these, optional
        Objects of the same name are the same queue; a random name by default.
    client : Client, optional
        By default the client of the task or of the context.
    maxsize : int
        Items that it holds at most; 0: any number.

    Notes
    -----
    Items come out in the order they were put, and who asks first is served first. The result of a
    future is kept while the future is in the queue. With an asynchronous client, methods return
    awaitables.

    See Also
    --------
    Variable : a single value

    Examples
    --------
    >>> from shoal import Client, Queue  # doctest: +SKIP
    >>> client = Client()  # doctest: +SKIP
    >>> queue = Queue('x')  # doctest: +SKIP
    >>> future = client.submit(f, x)  # doctest: +SKIP
    >>> queue.put(future)  # doctest: +SKIP
    """

    kind = "queue"

    def __init__(
        self, name: Name | None = None, client: ClientContext | None = None, maxsize: int = 0
    ) -> None:
        super().__init__(name, client)
        self.maxsize = max(0, whole_number("maxsize", maxsize))

    def put(self, value: Any, timeout: Seconds = None, **kwargs: Any) -> Any:
        """Put something in; waits while the queue is full.

        Parameters
        ----------
        value : Future, or plain data
            The value to put.
        timeout : number, str or timedelta, optional
            Seconds to wait, or a text such as ``"200ms"``.

        Raises
        ------
        TimeoutError
            When there was no room in time.
        TypeError
            When the value is something else.
        """
        packed, keys = pack(value, self.kind)
        return self._ask("put", self.maxsize, packed, keys=keys, timeout=timeout)

    def get(self, timeout: Seconds = None, batch: bool | int = False, **kwargs: Any) -> Any:
        """Take something out; waits until there is something.

        Parameters
        ----------
        timeout : number, str or timedelta, optional
            Seconds to wait, or a text such as ``"200ms"``.
        batch : bool or int
            False: one item. True: a list of all that is there now. A number: a list of so many.

        Raises
        ------
        TimeoutError
            When there was nothing in time.
        """
        load: Callable[[Session, Asking], Any] = _all
        if batch is True:
            wanted = _ALL
        elif batch is False:
            wanted, load = 1, _first
        elif is_whole(batch) and batch >= 0:
            wanted = int(batch)
        else:
            raise ValueError(f"batch must be True, False or a number of items, got {batch!r}")
        return self._ask("get", self.maxsize, wanted, timeout=timeout, load=load, takes=True)

    def _get_some(self, timeout: Seconds) -> Any:
        """Take all that is there; waits until there is something."""
        return self._ask("get", self.maxsize, _SOME, timeout=timeout, load=_all, takes=True)

    def qsize(self, **kwargs: Any) -> Any:
        """Return how many items are in the queue."""
        return self._ask("qsize")

    def close(self) -> Any:
        """Forget the queue and what is in it; calls that wait for it raise `RuntimeError`.

        In asynchronous code the result may be awaited, and need not.
        """
        return self._tell("close")

    def __reduce__(self) -> tuple[Any, ...]:
        return Queue, (self.name, None, self.maxsize)


def _all(session: Session, asking: Asking) -> list[Any]:
    answer = asking.answer
    assert answer is not None
    return [unpack(packed, answer.keys, session) for packed in answer.value]


def _first(session: Session, asking: Asking) -> Any:
    return _all(session, asking)[0]
