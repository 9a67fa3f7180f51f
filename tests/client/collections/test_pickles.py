"""Arguments that other tasks have as well are pickled once, and arrive as they are."""

from __future__ import annotations

import pickle
from typing import Any

from dask._task_spec import Task
from hypothesis import given
from hypothesis import strategies as st

from shoal import Client
from shoal.client.collections import lower
from shoal.client.collections.pickles import Pickles
from shoal.wire.placeholder import Dependency, dependency_values

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.floats(-1, 1), st.text("ab", max_size=2)
)
bounds = st.one_of(st.none(), st.integers(-2, 2))
leaves = st.one_of(
    scalars,
    st.builds(Dependency, st.integers(0, 2)),
    st.builds(slice, bounds, bounds, bounds),
    st.sampled_from([0.0, -0.0, 1, 1.0, True, b"", ""]),
)
arguments = st.lists(
    st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple)
    ),
    max_size=3,
).map(tuple)
kwargs = st.none() | st.dictionaries(st.sampled_from(["a", "b"]), leaves, min_size=1)


@given(arguments, kwargs, arguments, kwargs)
def test_equal_forms_have_equal_pickles(
    some: tuple[Any, ...], named: Any, others: tuple[Any, ...], more: Any
) -> None:
    pickles = Pickles()
    form, other = pickles.form(some, named), pickles.form(others, more)
    assert form is not None and other is not None and hash(form) is not None
    with dependency_values(["first", "second", "third"]):
        values, more_values = (
            repr(pickle.loads(pickle.dumps(one, 5))) for one in ((some, named), (others, more))
        )
    assert (form == other) == (values == more_values), "as they arrive"


def test_what_is_not_described() -> None:
    pickles = Pickles()
    twice = [1]
    for args in [(object(),), ({1: 2},), ({1},), (slice("a"),), (twice, twice), (range(2),)]:
        assert pickles.form(args, None) is None, args
        assert pickles.form((), {"x": args}) is None, args
    assert pickles.form((twice, list(twice)), None) is not None
    form = pickles.form((1,), None)
    assert form is not None and pickles.get(form) is None
    pickles.add(form, b"x" * 100_000)
    assert pickles.get(form) is None, "long ones are not kept"
    pickles.add(form, b"1")
    assert pickles.get(form) == b"1"
    for i in range(5000):
        pickles.add((int, i), b"")
    assert len(pickles._known) == 1000


def test_a_graph_pickles_equal_arguments_once(client: Client, monkeypatch: Any) -> None:
    made: list[Any] = []
    dumps = lower.dumps

    def note(value: Any) -> Any:
        made.append(value)
        return dumps(value)

    monkeypatch.setattr(lower, "dumps", note)
    dsk: dict[Any, Any] = {("x", 0): (abs, -3)}
    dsk.update({("x", i): (max, ("x", i // 2), 1) for i in range(1, 300)})
    assert client.get(dsk, [("x", 299), ("x", 3)]) == [3, 3]
    assert len(made) == 2
    shared = [1, 2]
    same = {
        "same": Task("same", lambda a, b: a is b, shared, shared),
        "equal": Task("equal", lambda a, b: a is b, [1, 2], [1, 2]),
    }
    assert client.get(same, ["same", "equal"]) == [True, False]
