"""`span`: names for parts of a program, which its tasks carry to the scheduler."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from dask.base import annotate, get_annotations

__all__ = ["span"]


@contextmanager
def span(*tags: str) -> Iterator[str]:
    """Tag the tasks that are submitted, and the collections that are made, inside of this block.

    Each gets the annotation ``{"span": {"name": [...], "ids": [...]}}``: the tags from the
    outermost block to the innermost, and the identity of each block. The scheduler's tasks have it
    as ``task.options.annotations["span"]``.

    Parameters
    ----------
    *tags : str
        Name of the block; several make blocks inside of each other.

    Yields
    ------
    str
        Identity of the (innermost) block; another one each time.

    Examples
    --------
    >>> with span("load"):  # doctest: +SKIP
    ...     futures = client.map(read, files)
    """
    if not tags:
        raise ValueError("span() needs a name: `with span('load'):`")
    for tag in tags:
        if not isinstance(tag, str):
            raise TypeError(f"the name of a span must be a text, got {tag!r}")
    around = get_annotations().get("span") or {"name": [], "ids": []}
    ids = [uuid.uuid4().hex for _ in tags]
    with annotate(
        span={"name": [*around["name"], *tags], "ids": [*around["ids"], *ids]},
    ):
        yield ids[-1]
