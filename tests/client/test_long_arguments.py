"""Arguments of megabytes: named without a text of them, and pickled without a copy."""

from __future__ import annotations

import itertools
import pickle
from typing import Any

import pytest

from shoal._base.long_digest import long_digest
from shoal.client.submission.keys import CallDigest, arguments_token, blob_digest
from shoal.wire.blob import Blob, Buffer
from shoal.wire.pickling import dumps, loads, whole
from shoal.wire.plain_values import LONG, load_arguments, plain_arguments, plain_rows

TEXT = "x" * (LONG + 1)
DATA = b"x" * (LONG + 1)


def test_equal_long_arguments_have_equal_names_and_others_have_others() -> None:
    values: list[tuple[Any, ...]] = [
        (DATA,), (TEXT,), (DATA, 1), (DATA + b"x",), ([DATA],), ((DATA,),), ([DATA, [TEXT]],),
        (b"y" + DATA[1:],), (DATA[:-1] + b"y",), (bytearray(DATA),),
    ]  # fmt: skip
    names = {arguments_token(args) for args in values}
    assert len(names) == len(values)
    again = (bytes(bytearray(DATA)),)
    assert arguments_token(again) == arguments_token((DATA,))
    assert all(len(name) < 1000 for name in names)


def test_a_text_that_looks_like_what_stands_for_a_long_one_is_another() -> None:
    stand_in = f"<bytes {len(DATA)} {long_digest(DATA).hex()}>"
    assert arguments_token(([stand_in],)) != arguments_token(([DATA],))
    assert arguments_token((stand_in,)) != arguments_token((DATA,))


def test_texts_of_which_utf8_knows_nothing_have_names() -> None:
    assert arguments_token((TEXT + "\ud800",)) != arguments_token((TEXT + "\ud801",))


@pytest.mark.parametrize("size", [0, 1, 2**25 - 1, 2**25, 2**25 + 1, 2**26 + 5])
def test_the_digest_of_parts_sees_each_byte(size: int) -> None:
    data = bytearray(size)
    digests = {long_digest(data)}
    places = {place for place in (0, size // 2, size - 1) if 0 <= place < size}
    for place in places:
        data[place] = 1
        digests.add(long_digest(data))
        data[place] = 0
    assert len(digests) == 1 + len(places)
    assert len({*digests, long_digest(bytes(size + 1))}) == len(digests) + 1


def test_long_buffers_of_blobs_are_told_apart() -> None:
    blobs = [Blob(b"a", [Buffer(data)]) for data in (DATA, DATA + b"x", DATA[:10])]
    assert len({blob_digest(blob) for blob in blobs}) == 3


def test_what_is_long_is_not_plain() -> None:
    assert plain_arguments((DATA,)) is None
    assert plain_arguments((1, TEXT)) is None
    assert plain_rows([(1, b""), (2, DATA)]) is None
    short = DATA[:-1]
    assert load_arguments(plain_arguments((short,)) or b"") == ((short,), None)
    assert plain_rows([(short,), ("",)]) is not None


def test_long_bytes_among_arguments_are_buffers() -> None:
    for value in (DATA, bytearray(DATA)):
        blob = dumps(((whole(value), 1), {"key": whole(value)}))
        assert len(blob.data) < 1000 and len(blob.buffers) == 2
        (first, one), kwargs = loads(blob)
        assert first == kwargs["key"] == value and type(first) is type(value) and one == 1
    assert whole(b"short") == b"short" and pickle.loads(pickle.dumps(whole("text"))) == "text"


def test_keys_of_rows_and_of_calls_are_the_same() -> None:
    call = CallDigest(b"function")
    rows = list(itertools.product((1, "a"), (b"b", 2.0)))
    tokens = plain_rows(rows)
    assert tokens is not None
    assert call.keys_of("f", tokens) == [f"f-{call.of(arguments_token(row))}" for row in rows]
