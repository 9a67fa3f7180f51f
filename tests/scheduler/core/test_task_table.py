"""The table of tasks is a dict to everybody, whatever it is made of."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.scheduler.core import task_table
from shoal.scheduler.core.task_table import TaskTable

keys = st.integers(0, 30).map(str)


@pytest.fixture(autouse=True, scope="module")
def _small_parts() -> Any:
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(task_table, "_FULL", 4)
        yield


@given(st.lists(st.tuples(st.sampled_from(["add", "delete", "find"]), keys)), st.lists(keys))
def test_it_is_a_dict(steps: list[tuple[str, str]], others: list[str]) -> None:
    table, model = TaskTable(), dict[str, Any]()
    for step, key in steps:
        if step == "add" and key not in model:
            model[key] = task = object()
            table.make_room()
            table.add(key, task)  # type: ignore[arg-type]
        elif step == "delete" and key in model:
            del model[key]
            table.drop(key)
        assert table.get(key) is model.get(key)
        assert table.get(key, 1) is model.get(key, 1)
        assert (key in table) == (key in model)
        assert len(table) == len(model)
        assert bool(table) == bool(model)
        in_latest = any(key in table._latest for key in others)
        assert table.full_parts_lack(others) == (
            not any(k in p for p in table._full for k in others)
        )
        assert (table.full_parts_lack(others) and not in_latest) == model.keys().isdisjoint(others)
    assert list(table.items()) == list(model.items())  # in the same order, too
    assert list(table) == list(model)
    assert list(table.values()) == list(model.values())


def test_parts_that_are_empty_are_forgotten() -> None:
    table = TaskTable()
    for i in range(100):
        table.make_room()
        table.add(str(i), object())  # type: ignore[arg-type]
    assert len(table._full) == 24
    assert not table.full_parts_lack(["x", "1"])
    assert table.full_parts_lack(["x", "99"])  # it is in the latest: `add` says so
    for i in range(100):
        table.drop(str(i))
    assert not table._full


def test_what_is_not_there() -> None:
    table = TaskTable()
    with pytest.raises(KeyError, match="x"):
        table["x"]
    with pytest.raises(KeyError, match="x"):
        table.drop("x")


def test_many_are_dropped_at_once() -> None:
    table = TaskTable()
    for i in range(20):
        table.make_room()
        table.add(str(i), object())  # type: ignore[arg-type]
    table.drop_many(["3", "17", "0", "1", "2"])
    assert list(table) == [str(i) for i in range(4, 20) if i != 17]
    assert len(table._full) == 3
    table.drop_many(list(table))
    assert not table and not table._full
