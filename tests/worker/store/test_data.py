"""`Worker.data`: a mapping by users' keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from shoal.worker.store.data import Data
from shoal.worker.store.store import Store


def test_it_is_a_mapping_by_users_keys() -> None:
    data = Data(Store())
    data["x"] = 1
    data["x", 0] = 2
    assert data["x"] == 1
    assert data[("x", 0)] == 2
    assert set(data.keys()) == {"x", ("x", 0)}
    assert sorted(data.values()) == [1, 2]
    assert dict(data.items()) == {"x": 1, ("x", 0): 2}
    assert len(data) == 2
    assert "x" in data and ("x", 0) in data and "y" not in data
    assert data.get("y") is None and data.get("y", 3) == 3
    del data["x"]
    assert data.pop(("x", 0)) == 2
    assert len(data) == 0


def test_an_absent_key_is_named_as_the_user_has_it() -> None:
    data = Data(Store())
    with pytest.raises(KeyError) as caught:
        data["x", 0]
    assert caught.value.args == (("x", 0),)
    with pytest.raises(KeyError, match="y"):
        del data["y"]


def test_what_is_on_disk_is_read(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    data = Data(store)
    data["x"] = b"x" * 1000
    assert store.evict(1) > 0 and store.is_on_disk("x")
    assert "x" in data and len(data) == 1
    assert data["x"] == b"x" * 1000
    assert not store.is_on_disk("x")
