"""What may travel in queues and variables, and that it comes out as it went in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal import Client, Queue, Variable
from shoal.coordination.values import pack, unpack

atoms = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
    | st.binary(max_size=5)
)
plain = st.recursive(
    atoms,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.sets(atoms, max_size=3)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
        | st.dictionaries(atoms, inner, max_size=3)
    ),
    max_leaves=8,
)


@given(plain)
def test_plain_data_comes_out_as_it_went_in(value: Any) -> None:
    packed, keys = pack(value, "queue")
    session: Any = None
    again = unpack(packed, keys, session)
    assert again == value and type(again) is type(value) and not keys


def test_subclasses_come_out_as_what_they_derive_from() -> None:
    session: Any = None
    for value, expected in [
        (np.float64(1.5), 1.5),
        (bytearray(b"x"), b"x"),
        (memoryview(b"x"), b"x"),
        (np.str_("x"), "x"),
        (frozenset({1}), {1}),
    ]:
        again = unpack(pack(value, "queue")[0], [], session)
        assert again == expected and type(again) is type(expected)


class Mine:
    pass


@pytest.mark.parametrize("inside", [lambda x: x, lambda x: [1, {"a": x}], lambda x: (x,)])
@pytest.mark.parametrize("value", [Mine(), np.zeros(3), len, object])
def test_what_may_not_travel_is_named(client: Client, value: Any, inside: Any) -> None:
    kind = type(value)
    with pytest.raises(TypeError) as caught:
        Queue("refuses").put(inside(value))
    text = str(caught.value)
    assert "a queue holds futures and plain data" in text and "client.scatter" in text
    assert f"not {kind.__module__}.{kind.__qualname__}".replace("builtins.", "") in text
    with pytest.raises(TypeError, match="a variable holds futures and plain data"):
        Variable("refuses").set(inside(value))
    assert Queue("refuses").qsize() == 0


def test_futures_inside_of_data(client: Client, other: Client, name: str) -> None:
    queue = Queue(name)
    futures = client.map(lambda x: x * 2, range(3), pure=False)
    queue.put({"all": futures, "first": (futures[0], 1)})
    del futures
    got = Queue(name, client=other).get()
    assert [future.result() for future in got["all"]] == [0, 2, 4]
    assert got["first"][0].client is other
    assert got["first"][0].key == got["all"][0].key
