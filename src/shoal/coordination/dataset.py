"""Published datasets: collections and futures under names that all clients know."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, MutableMapping
from typing import TYPE_CHECKING, Any

from shoal._base.keys import decode_key, encode_key
from shoal.client.core.asks import Asking
from shoal.client.core.events import TookAnswer
from shoal.client.current import as_current
from shoal.client.futures.future import collect_pickled
from shoal.coordination.asking import nobody, until_answered
from shoal.wire.messages import Ask
from shoal.wire.pickling import dumps_bytes, loads_bytes

if TYPE_CHECKING:
    from shoal.client.session.context import ClientContext

__all__ = ["Datasets", "get_dataset", "list_datasets", "publish_datasets", "unpublish_dataset"]

NO_DEFAULT = "_no_default_"


async def publish_datasets(client: ClientContext, datasets: dict[Any, Any], override: bool) -> None:
    """Publish each value under its name.

    Raises
    ------
    KeyError
        When a name is taken and `override` is false.
    """
    for name, value in datasets.items():
        with collect_pickled() as futures:
            data = dumps_bytes(value)
        keys = list(dict.fromkeys(future._record.key for future in futures))
        asking = await _ask(client, name, "publish", data, override, keys=keys)
        if not asking.answer.value:
            raise KeyError(
                f"Dataset {name!r} already exists; publish it with override=True to replace it"
            )


async def get_dataset(client: ClientContext, name: Any, default: Any = NO_DEFAULT) -> Any:
    """Return what is published under a name.

    Raises
    ------
    KeyError
        When there is nothing, and no default.
    """
    asking = await _ask(client, name, "get", takes=True)
    if asking.answer.value is not None:
        with as_current(client):
            value = loads_bytes(asking.answer.value)
        if asking.answer.keys:
            client._session.post(TookAnswer(asking))
        return value
    if isinstance(default, str) and default == NO_DEFAULT:
        raise KeyError(f"Dataset {name!r} not found")
    return default


async def list_datasets(client: ClientContext) -> tuple[Any, ...]:
    """Return the names of all datasets."""
    return tuple(decode_key(name) for name in (await _ask(client, "", "list")).answer.value)


async def unpublish_dataset(client: ClientContext, name: Any) -> None:
    """Forget a dataset, if there is one of that name."""
    await _ask(client, name, "unpublish")


async def _ask(
    client: ClientContext, name: Any, op: str, *args: Any, keys: Any = (), takes: bool = False
) -> Any:
    """Ask on the client's stream, where all it did before has been said."""
    await client
    session = client._session
    key = encode_key(name) if name != "" else ""
    ask = Ask(next(session.ask_ids), "dataset", key, op, list(args), list(keys))
    asking = Asking(ask, nobody, takes=takes)
    await until_answered(session, asking, None)
    answer = asking.answer
    assert answer is not None
    if answer.error:
        raise RuntimeError(f"dataset {name!r}: {answer.value}")
    if not answer.keys:
        asking.takes = False  # nothing was kept for us
    return asking


class Datasets(MutableMapping[Any, Any]):
    """The published datasets as a mapping (`Client.datasets`).

    In asynchronous code items are awaited, and `async for` lists the names; setting and deleting
    need `publish_dataset` and `unpublish_dataset` there.

    Examples
    --------
    >>> client.datasets["df"] = df  # doctest: +SKIP
    >>> "df" in client.datasets  # doctest: +SKIP
    True
    """

    def __init__(self, client: ClientContext) -> None:
        self._client = client

    def __getitem__(self, name: Any) -> Any:
        return self._client.sync(get_dataset, self._client, name)

    def __setitem__(self, name: Any, value: Any) -> None:
        self._refuse_async("publish_dataset")
        self._client.sync(publish_datasets, self._client, {name: value}, True)

    def __delitem__(self, name: Any) -> None:
        self._refuse_async("unpublish_dataset")
        if name not in self:
            raise KeyError(f"Dataset {name!r} not found")
        self._client.sync(unpublish_dataset, self._client, name)

    def __contains__(self, name: Any) -> bool:
        self._refuse_async("list_datasets")
        return name in self._client.sync(list_datasets, self._client)

    def __iter__(self) -> Iterator[Any]:
        self._refuse_async("list_datasets")
        return iter(self._client.sync(list_datasets, self._client))

    def __aiter__(self) -> AsyncIterator[Any]:
        async def names() -> AsyncIterator[Any]:
            for name in await self._client.sync(list_datasets, self._client):
                yield name

        return names()

    def __len__(self) -> int:
        self._refuse_async("list_datasets")
        return len(self._client.sync(list_datasets, self._client))

    def __repr__(self) -> str:
        return f"<Datasets of {self._client!r}>"

    def _refuse_async(self, instead: str) -> None:
        if self._client.asynchronous:
            raise TypeError(f"in asynchronous code use `await client.{instead}(...)` instead")
