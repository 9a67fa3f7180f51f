"""Placeholders become values when they are unpickled, in the right thread and the right call."""

from __future__ import annotations

import copy
import pickle
import threading

import pytest

from shoal.wire.pickling import dumps, dumps_bytes, loads, loads_bytes
from shoal.wire.placeholder import BoundFunction, Dependency, dependency_values


def test_values_take_the_place_of_dependencies_at_any_depth():
    args = (Dependency(1), [Dependency(0), {"a": {Dependency(0)}}]), {"x": Dependency(1)}
    with dependency_values(["zero", "one"]):
        assert loads_bytes(dumps_bytes(args)) == (("one", ["zero", {"a": {"zero"}}]), {"x": "one"})
        assert loads(dumps(args))[1] == {"x": "one"}


def test_the_very_value_is_put_in():
    value = object()
    with dependency_values((value,)):
        assert loads_bytes(dumps_bytes([Dependency(0)]))[0] is value


def test_without_values_a_placeholder_survives_pickling_and_copying():
    assert loads_bytes(dumps_bytes(Dependency(3))) == Dependency(3)
    assert copy.deepcopy([Dependency(3)]) == [Dependency(3)]
    assert Dependency(3) != Dependency(4)
    assert len({Dependency(3), Dependency(3), 3}) == 2
    assert repr(Dependency(3)) == "<Dependency 3>"


@pytest.mark.parametrize("index", [2, -1])
def test_an_index_that_the_task_does_not_have_is_named(index):
    with dependency_values([1, 2]), pytest.raises(LookupError, match=f"dependency {index}.* has 2"):
        loads_bytes(dumps_bytes(Dependency(index)))


class Nested:
    """Unpickles a call of its own, as a user's object may."""

    def __reduce__(self):
        return _load_inside, (dumps_bytes(Dependency(0)),)


def _load_inside(data):
    with dependency_values(["inner"]):
        return loads_bytes(data)


def test_contexts_nest_and_end_with_errors_too():
    data = pickle.dumps((Nested(), Dependency(0)))
    with dependency_values(["outer"]):
        assert loads_bytes(data) == ("inner", "outer")
        with pytest.raises(ZeroDivisionError), dependency_values(["third"]):
            raise ZeroDivisionError
        assert loads_bytes(dumps_bytes(Dependency(0))) == "outer"
    assert loads_bytes(dumps_bytes(Dependency(0))) == Dependency(0)


def test_threads_do_not_see_each_others_values():
    seen = []
    with dependency_values(["main"]):
        data = dumps_bytes(Dependency(0))
        thread = threading.Thread(target=lambda: seen.append(loads_bytes(data)))
        thread.start()
        thread.join()
    assert seen == [Dependency(0)]


def test_a_bound_function_adds_its_keywords():
    bound = loads_bytes(dumps_bytes(BoundFunction(dict, {"a": 1, "b": 2})))
    assert bound() == {"a": 1, "b": 2}
    assert bound([("z", 0)], b=3) == {"z": 0, "a": 1, "b": 3}
    assert bound.kwargs == {"a": 1, "b": 2}, "a call does not change what is bound"
    assert "['a', 'b']" in repr(bound)


def test_a_bound_lambda_travels():
    bound = BoundFunction(lambda x, *, y: x - y, {"y": 1})
    assert loads(dumps(bound))(5) == 4
