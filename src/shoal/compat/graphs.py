"""Graphs written as nested tuples, and data that a server spreads over workers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from itertools import cycle
from typing import Any

from shoal._base.keys import encode_key
from shoal.wire.pickling import dumps

__all__ = ["scatter_to_workers", "subs_multiple"]


def subs_multiple(o: Any, d: Mapping[Any, Any]) -> Any:
    """Replace keys in a task of the old kind, nested tuples and lists, by what a dict says.

    Examples
    --------
    >>> subs_multiple((sum, ["x", 2]), {"x": 1}) == (sum, [1, 2])
    True
    """
    kind = type(o)
    if kind is tuple and o and callable(o[0]):
        return (o[0], *(subs_multiple(item, d) for item in o[1:]))
    if kind is list:
        return [subs_multiple(item, d) for item in o]
    if kind is dict:
        return {key: subs_multiple(value, d) for key, value in o.items()}
    try:
        return d.get(o, o)
    except TypeError:  # not hashable, so no key
        return o


async def scatter_to_workers(
    workers: Sequence[str] | Mapping[str, int], data: Mapping[Any, Any], rpc: Callable[[str], Any]
) -> tuple[dict[Any, list[str]], dict[Any, int]]:
    """Send values to workers in turn; a server's way to scatter.

    The scheduler hears of what its workers hold from them.

    Parameters
    ----------
    workers : list of str, or dict of int
        Addresses; the numbers of a dict are threads, and a worker gets values in proportion.
    data : dict
        Values by key.
    rpc : callable
        Makes a caller of an address, as `Server.rpc` does.

    Returns
    -------
    who_has : dict
        Addresses by key.
    nbytes : dict
        Sizes by key.
    """
    turns = (
        [address for address, threads in workers.items() for _ in range(max(threads, 1))]
        if isinstance(workers, Mapping)
        else list(workers)
    )
    if data and not turns:
        raise ValueError("scatter_to_workers: there are no workers to send data to")
    parts: dict[str, dict[Any, Any]] = {}
    for (key, value), address in zip(data.items(), cycle(turns)):
        parts.setdefault(address, {})[key] = value
    calls = []
    for address, part in parts.items():
        pickled = {encode_key(key): dumps(value) for key, value in part.items()}
        calls.append(rpc(address).update_data(data=pickled))
    answers = await asyncio.gather(*calls)
    sizes = {key: size for answer in answers for key, size in answer["nbytes"].items()}
    who_has = {key: [address] for address, part in parts.items() for key in part}
    return who_has, {key: sizes[encode_key(key)] for key in data}
