"""Asserting what happened to tasks, as `story` of schedulers and workers tells it."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import Any

__all__ = ["assert_story", "assert_valid_story", "wait_for_state"]


def assert_valid_story(story: Sequence[Sequence[Any]], ordered_timestamps: bool = True) -> None:
    """Check that each event ends with a stimulus and a time, and that the times are in order.

    Parameters
    ----------
    story : list of tuples
        The events.
    ordered_timestamps : bool
        Whether a time before that of the event before is an error.
    """
    before = 0.0
    for event in story:
        assert isinstance(event, tuple), f"an event is a tuple, not {event!r}"
        assert len(event) > 2, f"an event has more than a stimulus and a time: {event!r}"
        assert isinstance(event[-2], str) and event[-2], f"there is no stimulus in {event!r}"
        assert isinstance(event[-1], float), f"there is no time at the end of {event!r}"
        if ordered_timestamps:
            assert event[-1] >= before, f"{event!r} is earlier than the event before it"
            before = event[-1]


def assert_story(
    story: Sequence[Sequence[Any]],
    expect: Sequence[Sequence[Any]],
    *,
    strict: bool = False,
) -> None:
    """Check that a story has certain events, in their order.

    Parameters
    ----------
    story : list of tuples
        The events; the last two fields of each event are its stimulus and its time.
    expect : list of tuples
        Each is an event that has to be in it, without those two fields. A function stands for
        values that it is true of, ``...`` for any.
    strict : bool
        Whether nothing else may be in it.

    Examples
    --------
    >>> story = [("x", "waiting", "s-1", 0.5), ("x", "memory", "s-2", 0.6)]
    >>> assert_story(story, [("x", lambda state: state.startswith("m"))])
    """
    assert_valid_story(story)
    left = list(story)
    for event in expect:
        while left and not _is_event(left[0], event):
            if strict:
                raise AssertionError(f"expected {event!r}, got {left[0]!r}")
            left.pop(0)
        if not left:
            raise AssertionError(f"there is no {event!r} (in this order) in {list(story)!r}")
        left.pop(0)
    if strict and left:
        raise AssertionError(f"more happened: {left!r}")


def _is_event(event: Sequence[Any], expected: Sequence[Any]) -> bool:
    return len(event) == len(expected) + 2 and all(map(_fits, event, expected))


def _fits(value: Any, expected: Any) -> bool:
    if expected is ...:
        return True
    return bool(expected(value) if callable(expected) else value == expected)


async def wait_for_state(
    key: Any, state: str | Collection[str], dask_worker: Any, *, interval: float = 0.01
) -> None:
    """Wait until a task is in a state, on a worker or at a scheduler.

    Parameters
    ----------
    key : str or tuple
        The task.
    state : str or collection of str
        The state, or several of which one will do.
    dask_worker : Worker or Scheduler
        Where to look.
    interval : float
        Seconds between two looks.
    """
    states = {state} if isinstance(state, str) else set(state)
    while True:
        home = getattr(dask_worker, "state", dask_worker)
        task = home.tasks.get(key)
        if task is not None and task.state in states:
            return
        await asyncio.sleep(interval)
