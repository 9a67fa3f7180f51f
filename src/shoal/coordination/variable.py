"""`Variable`: one value or future that all may read and set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shoal.coordination.asking import Name, Named, Seconds
from shoal.coordination.values import pack, unpack

if TYPE_CHECKING:
    from shoal.client.core.asks import Asking
    from shoal.client.session.context import ClientContext
    from shoal.client.session.session import Session

__all__ = ["Variable"]


class Variable(Named):
    """A variable that clients and tasks share.

    It holds a future or plain data: None, bool, int, float, str, bytes, and lists, tuples, sets and
    dicts of them. It is kept by the scheduler; scatter what is large, and set the future.

    Parameters
    ----------
    name : str, number or tuple of these, optional
        Objects of the same name are the same variable; a random name by default.
    client : Client, optional
        By default the client of the task or of the context.
    maxsize : int
        Not used.

    Notes
    -----
    The result of a future is kept while the variable holds the future. Nothing keeps two clients
    from setting it at the same time: the later value stays. With an asynchronous client, methods
    return awaitables.

    See Also
    --------
    Queue : many values

    Examples
    --------
    >>> from shoal import Client, Variable  # doctest: +SKIP
    >>> client = Client()  # doctest: +SKIP
    >>> x = Variable('x')  # doctest: +SKIP
    >>> x.set(123)  # doctest: +SKIP
    >>> x.get()  # doctest: +SKIP
    123
    >>> future = client.submit(f, x)  # doctest: +SKIP
    >>> x.set(future)  # doctest: +SKIP
    """

    kind = "variable"

    def __init__(
        self, name: Name | None = None, client: ClientContext | None = None, maxsize: int = 0
    ) -> None:
        super().__init__(name, client)

    def set(self, value: Any, timeout: Seconds = None, **kwargs: Any) -> Any:
        """Set the value.

        Parameters
        ----------
        value : Future, or plain data
            The new value.
        timeout : number, str or timedelta, optional
            Seconds that the scheduler may take.

        Raises
        ------
        TypeError
            When the value is something else.
        """
        packed, keys = pack(value, self.kind)
        return self._ask("set", packed, keys=keys, timeout=timeout)

    def get(self, timeout: Seconds = None, **kwargs: Any) -> Any:
        """Return the value; waits until there is one.

        Parameters
        ----------
        timeout : number, str or timedelta, optional
            Seconds to wait, or a text such as ``"200ms"``.

        Raises
        ------
        TimeoutError
            When it was not set in time.
        """
        return self._ask("get", timeout=timeout, load=_load, takes=True)

    def delete(self) -> Any:
        """Delete the variable, for all its users; `get` waits for the next `set`.

        Its value is released. In asynchronous code the result may be awaited, and need not.
        """
        return self._tell("delete")

    def __reduce__(self) -> tuple[Any, ...]:
        return Variable, (self.name,)


def _load(session: Session, asking: Asking) -> Any:
    answer = asking.answer
    assert answer is not None
    if not answer.keys:
        asking.takes = False  # nothing was kept for us
    return unpack(answer.value, answer.keys, session)
