"""Publishers and subscribers that are unpickled before there is a client."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from shoal import Client, LocalCluster, Pub, Sub


def test_they_join_at_their_first_use() -> None:
    with LocalCluster(n_workers=1, processes=False, dashboard_address=None) as cluster:
        with Client(cluster):
            pickles = [pickle.dumps(each("a topic")) for each in (Pub, Sub)]
        early: list[Any] = [pickle.loads(each) for each in pickles]
        pub, sub = early
        assert isinstance(pub, Pub) and isinstance(sub, Sub) and pub.name == "a topic"
        assert pickle.dumps(sub) == pickles[1]
        with pytest.raises(ValueError, match="no clients found"):
            pub.put(1)
        with Client(cluster):
            assert sub.client is pub.client
            pub.put([1, 2])
            assert sub.get(timeout="10 s") == [1, 2]
            now = pickle.loads(pickles[1])
            pub.put(3)
            assert now.get(timeout="10 s") == 3


def test_what_nobody_used_leaves_nothing() -> None:
    early = pickle.loads(pickle.dumps(_Named()))
    assert isinstance(early, Sub)
    early.close()
    with pytest.raises(AttributeError, match="__wrapped__"):
        early.__wrapped__  # noqa: B018
    del early


class _Named:
    def __reduce__(self) -> Any:
        from shoal.coordination.pubsub import _unpickled

        return _unpickled, (Sub, "topic")
