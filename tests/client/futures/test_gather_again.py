"""A result is asked for again where the scheduler died while it was asked."""

from __future__ import annotations

from typing import Any

import pytest

from shoal.client.futures import fetching
from shoal.errors import CommClosedError
from shoal.testing import gen_cluster, inc


@gen_cluster(client=True)
async def test_an_answer_that_broke_off_is_asked_for_again(
    c: Any, s: Any, a: Any, b: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0
    from_cluster = fetching._from_cluster

    async def breaks_off(*args: Any) -> Any:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise CommClosedError("the peer closed the connection")
        return await from_cluster(*args)

    monkeypatch.setattr(fetching, "_from_cluster", breaks_off)
    future = c.submit(lambda x: [x] * 1000, 1)  # too large to come along
    assert len(await future) == 1000
    assert asked == 2
    assert await c.submit(inc, 1) == 2
