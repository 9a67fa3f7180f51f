"""Parts of values that this worker holds, for tasks here and on other workers that read them.

A reader on this host is told where the bytes are, in shared memory or in a spill file; one
elsewhere gets the bytes of the parts that it asks for, and no others.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from shoal.comm.base import Comm
from shoal.shared_memory import host_identity
from shoal.shuffle.partitioned import Partitioned
from shoal.wire.messages.several_edges import Count, Life

if TYPE_CHECKING:
    from shoal.worker.context import WorkerContext

__all__ = ["give_parts", "part_of"]


async def give_parts(
    worker: WorkerContext,
    comm: Comm,
    keys: list[str],
    lives: list[Life],
    parts: list[tuple[Count, Count]],
    host: str | None = None,
) -> list[dict[str, Any] | None]:
    """Return what a reader needs of some parts of values; None for those that are not here.

    Parameters
    ----------
    keys, lives : list
        The wanted keys.
    parts : list of (int, int)
        Of each of them: from which part up to, and without, which one.
    host : str, optional
        The `host_identity` of who asks.
    """
    near = host is not None and host == host_identity()
    held = [worker.machine.holds(key, life) for key, life in zip(keys, lives, strict=True)]
    wanted = [key if here else None for key, here in zip(keys, held, strict=True)]
    return await asyncio.to_thread(_give, worker, wanted, parts, near)


def _give(
    worker: WorkerContext, keys: list[str | None], parts: list[tuple[int, int]], near: bool
) -> list[dict[str, Any] | None]:
    rows = zip(keys, parts, strict=True)
    return [None if key is None else part_of(worker, key, part, near) for key, part in rows]


def part_of(
    worker: WorkerContext, key: str, parts: tuple[int, int], near: bool, own: bool = False
) -> dict[str, Any] | None:
    """Return what a reader needs of some parts of one value; the `own` task's: the value itself."""
    found = worker.store.in_place(key)
    if found is None:
        return None
    value, file = found
    if type(value) is not Partitioned:
        raise TypeError(f"{key!r} is not in parts but a {type(value).__name__}")
    first, last = parts
    start, stop = value.place(first, last)
    heads_start, heads = value.heads_place()
    answer: dict[str, Any] = {
        "chunks": [list(chunks) for chunks in value.parts[first:last]],
        "start": start,
        "heads": heads,
        "heads_start": heads_start,
    }
    if own:
        answer["value"] = value
        return answer
    if near:
        if file is not None:
            answer["file"] = file
            return answer
        reference = value.reference()
        if reference is not None:
            answer["shared"] = reference
            return answer
    answer["data"] = bytes(value.read(start, stop))
    answer["heads_data"] = bytes(value.read(heads_start, heads_start + sum(heads)))
    return answer
