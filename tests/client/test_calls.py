"""Keys, pickled functions and packed arguments."""

from __future__ import annotations

import functools
import operator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.client.submission import functions as functions_module
from shoal.client.submission.arguments import pack
from shoal.client.submission.functions import PickledFunctions
from shoal.client.submission.keys import CallDigest, arguments_token, group_of_key, unique
from shoal.client.submission.submit import SubmitOptions, as_workers
from shoal.wire.blob import Blob
from shoal.wire.pickling import loads
from shoal.wire.placeholder import BoundFunction, dependency_values

FACTOR = 2


def double(x):
    return FACTOR * x


@pytest.fixture
def pickled() -> PickledFunctions:
    return PickledFunctions()


# ------------------------------------------------------------------ functions


def test_a_function_is_pickled_once(pickled: PickledFunctions) -> None:
    first = pickled.get(double)
    assert pickled.get(double) is first
    assert first.name == "double" and first.call.group == "double"
    assert loads(first.function.blob) is double
    assert pickled.get(operator.add).name == "add"


def test_what_a_function_refers_to_is_looked_at_again(pickled: PickledFunctions) -> None:
    factor = 2

    def times(x):
        return factor * x

    def nested(x):
        return times(x) + 1

    def of_list(x):
        return [*items, x]

    items: list[int] = []
    first, outer, listed = map(pickled.get, (times, nested, of_list))
    assert pickled.get(times) is first and pickled.get(nested) is outer
    factor = 3
    assert pickled.get(times) is not first and pickled.get(nested) is not outer
    assert loads(pickled.get(nested).function.blob)(1) == 4
    items.append(1)
    assert loads(pickled.get(of_list).function.blob)(2) == [1, 2]
    assert pickled.get(of_list).function is not listed.function


def test_equal_functions_share_one_object(pickled: PickledFunctions) -> None:
    def make():
        return lambda x: x + 1

    assert pickled.get(make()).function is pickled.get(make()).function
    assert pickled.get(functools.partial(double)).function is (
        pickled.get(functools.partial(double)).function
    )


def test_another_function_at_the_same_address_is_told_apart(
    pickled: PickledFunctions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(functions_module, "_MAX_REMEMBERED", 5)
    for i in range(50):
        source = f"def f(x):\n    return x + {i}\n"
        namespace: dict[str, object] = {"__name__": "__main__"}
        exec(source, namespace)
        function = namespace.pop("f")
        assert loads(pickled.get(function).function.blob)(1) == 1 + i
        del function


def test_bound_keywords_travel_with_the_function(pickled: PickledFunctions) -> None:
    bound = pickled.bind(pow, {"exp": 2})
    function = loads(bound.function.blob)
    assert isinstance(function, BoundFunction) and function(3) == 9
    assert bound.name == "pow"
    assert pickled.bind(pow, {"exp": 3}).digest.of(b"") != bound.digest.of(b"")
    assert pickled.bind(pow, {"exp": 2}).digest.of(b"") == bound.digest.of(b"")


def test_what_cannot_be_called_or_sent(pickled: PickledFunctions) -> None:
    with pytest.raises(TypeError, match="callable function, got 3"):
        pickled.get(3)
    generator = (i for i in range(3))

    def holds():
        return generator

    with pytest.raises(TypeError, match="the function holds cannot be sent"):
        pickled.get(holds)


def test_callable_objects_have_the_name_of_their_class(pickled: PickledFunctions) -> None:
    class Adder:
        def __init__(self, n):
            self.n = n

        def __call__(self, x):
            return x + self.n

    one, two = pickled.get(Adder(1)), pickled.get(Adder(2))
    assert one.name == "Adder"
    assert one.token != two.token and one.function is not two.function


# ------------------------------------------------------------------ keys

scalars = st.one_of(
    st.integers(), st.floats(allow_nan=False), st.booleans(), st.none(), st.text(), st.binary()
)
arguments = st.lists(st.one_of(scalars, st.lists(scalars, max_size=3)), max_size=3).map(tuple)


@given(arguments, arguments)
def test_tokens_are_equal_for_equal_arguments_only(a: tuple, b: tuple) -> None:
    assert (arguments_token(a) == arguments_token(b)) == (repr(a) == repr(b))


@given(st.lists(st.tuples(st.sampled_from([b"f", b"g"]), st.binary(max_size=20)), max_size=9))
def test_digests_are_equal_for_equal_calls_only(calls: list[tuple[bytes, bytes]]) -> None:
    calls = [(function, b"r" + token) for function, token in calls]  # no token begins with zero
    digests = [CallDigest(function).of(token) for function, token in calls]
    assert all(len(digest) == 32 for digest in digests)
    assert len(set(digests)) == len(set(calls))


@given(st.lists(st.binary(min_size=1, max_size=20)))
def test_keys_of_many_calls_are_those_of_each(tokens: list[bytes]) -> None:
    digest = CallDigest(b"f")
    assert digest.keys_of("f", tokens) == [f"f-{digest.of(token)}" for token in tokens]


@given(st.binary(min_size=1, max_size=8), st.binary(min_size=1, max_size=8))
def test_a_short_token_is_no_end_of_a_longer_one(end: bytes, more: bytes) -> None:
    """Whatever digits the function's digest has that stand before it."""
    digest = CallDigest(b"f")
    before = bytes.fromhex(digest.of(end)[: -2 * len(end)].rjust(32, "0"))
    longer = (before + end)[-len(end) - 1 :]
    assert digest.of(longer) != digest.of(end)
    assert digest.of(more + end) != digest.of(end)


def test_tokens_of_equal_texts_do_not_depend_on_identity() -> None:
    word = "".join(["a", "b"])
    assert arguments_token(("ab", "ab")) == arguments_token(("ab", word))
    assert arguments_token((1,)) != arguments_token((1.0,)) != arguments_token((True,))
    array = np.arange(5)
    assert arguments_token((array,)) == arguments_token((array.copy(),))


def test_unique_keys_and_groups() -> None:
    assert len({unique() for _ in range(1000)}) == 1000
    assert all(len(key) == 32 for key in (unique(), unique()))
    assert group_of_key("inc-" + unique()) == "inc"
    assert group_of_key("('x-123', 0)") == "x-123"
    assert group_of_key("plain") == "plain"


# ------------------------------------------------------------------ arguments


def test_futures_become_placeholders(client) -> None:
    a, b = client.scatter(["A", "B"])
    tree = ([a, (b, {"k": a})], {b}, frozenset([1]), "text")
    packed = pack(client._session, tree, {"key": b}, tokenize=True)
    assert packed.deps == (a.key, b.key)
    with dependency_values(["A", "B"]):
        args, kwargs = loads(Blob(packed.data))
    assert args == (["A", ("B", {"k": "A"})], {"B"}, frozenset([1]), "text")
    assert kwargs == {"key": "B"}
    assert packed.token == pack(client._session, tree, None, tokenize=True).token
    swapped = pack(client._session, ([b, (a, {"k": b})], *tree[1:]), None, tokenize=True)
    assert swapped.token != packed.token


def test_tokens_of_futures_are_those_of_their_keys(client) -> None:
    a, b = client.scatter([1, 2])
    session = client._session
    tokens = [pack(session, args, None, True).token for args in [(a, 1), (b, 1), (a, 2), (1, a)]]
    assert len(set(tokens)) == 4
    again = client.scatter(1)
    assert pack(session, (again, 1), None, True).token == tokens[0]
    # A text that looks like a placeholder is none.
    assert pack(session, ("<Dependency 0>", a), None, True).token != (
        pack(session, (a, a), None, True).token
    )


def test_large_buffers_are_not_copied(client) -> None:
    array = np.ones(100_000)
    packed = pack(client._session, (array,), None, tokenize=False)
    assert packed.extras is not None
    (buffer,) = packed.extras.buffers
    assert np.shares_memory(np.frombuffer(buffer.data), array)
    large_text = pack(client._session, ("x" * 100_000,), None, tokenize=False)
    args, _ = loads(Blob(large_text.data, large_text.extras.buffers))
    assert args == ("x" * 100_000,)


def test_workers_by_address_name_and_host() -> None:
    assert as_workers("alice") == ["alice"]
    assert as_workers(3) == ["3"]
    assert as_workers(("host", 80)) == ["tcp://host:80"]
    assert as_workers([("host", 80), "b"]) == ["tcp://host:80", "b"]
    assert as_workers({"a": 1}.keys()) == ["a"]
    assert SubmitOptions(workers="a", retries=2).options is not None
    assert SubmitOptions().options is None
