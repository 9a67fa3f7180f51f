"""Blocks of arrays in boxes, and put together again."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

np: Any = pytest.importorskip("numpy")

from shoal.client.collections.rechunk import rechunk_p2p  # noqa: E402
from shoal.shuffle.arrays import Assembling, split_block  # noqa: E402


def _ends(draw: Any, n: int) -> list[int]:
    cuts = draw(st.lists(st.integers(0, n), max_size=3, unique=True))
    return [*sorted(cut for cut in cuts if 0 < cut < n), n]


@st.composite
def blocks(draw: Any) -> tuple[Any, list[list[int]]]:
    shape = draw(st.lists(st.integers(1, 6), min_size=1, max_size=3))
    dtype = draw(st.sampled_from(["i4", "f8", "M8[s]", "c16", "?", "S3", object]))
    block = np.arange(int(np.prod(shape))).reshape(shape).astype(dtype)
    if draw(st.booleans()):
        block = np.asfortranarray(block)
    return block, [_ends(draw, n) for n in shape]


@given(blocks())
@settings(max_examples=100, deadline=None)
def test_a_block_in_boxes_is_the_block(drawn: tuple[Any, list[list[int]]]) -> None:
    block, cuts = drawn
    grid = [len(ends) for ends in cuts]
    source = split_block(block, cuts)
    count = int(np.prod(grid))
    made = Assembling()([source] * count, list(range(count)), grid)
    assert made.dtype == block.dtype and made.shape == block.shape
    assert (made == block).all()


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_any_chunks_become_any_others(data: st.DataObject) -> None:
    import dask
    import dask.array as da

    shape = data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=3))
    array = np.arange(int(np.prod(shape))).reshape(shape)

    def chunks() -> tuple[tuple[int, ...], ...]:
        ends = [_ends(data.draw, n) for n in shape]
        return tuple(tuple(np.diff([0, *one]).tolist()) for one in ends)

    made = rechunk_p2p(da.from_array(array, chunks=chunks()), new := chunks())
    assert made.chunks == new
    with dask.config.set(scheduler="sync"):
        assert (made.compute() == array).all()
        for place in product(*map(range, made.numblocks)):
            assert made.blocks[place].compute().shape == made.blocks[place].shape


def test_masked_arrays_stay_masked() -> None:
    block = np.ma.masked_greater(np.arange(12).reshape(3, 4), 7)
    made = Assembling()([split_block(block, [[2, 3], [4]])] * 2, [0, 1], [2, 1])
    assert (made.mask == block.mask).all() and (made == block).all()


def test_unknown_lengths_stay_as_they_are() -> None:
    import dask.array as da

    x = da.from_array(np.arange(20).reshape(10, 2), chunks=(3, 2))
    some = x[x[:, 0] > 5]
    made = rechunk_p2p(some, (some.chunks[0], 1))
    assert (made.compute(scheduler="sync") == np.arange(6, 20).reshape(7, 2)).all()
