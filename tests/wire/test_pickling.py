"""Long texts of bytes are referred to, not copied; what comes out is what went in."""

from __future__ import annotations

import numpy as np
import pytest

from shoal.wire.pickling import SMALL, dumps, loads


@pytest.mark.parametrize("kind", [bytes, bytearray])
@pytest.mark.parametrize("size", [0, 10, SMALL - 1, SMALL, 1 << 20])
def test_bytes_come_out_as_they_went_in(kind: type, size: int) -> None:
    value = kind(b"a" * size)
    blob = dumps(value)
    copy = loads(blob)
    assert type(copy) is kind and copy == value
    assert copy is not value or size < 2
    inside = [part for part in blob.buffers if getattr(part.data, "obj", None) is value]
    assert len(inside) == (size >= SMALL)
    assert blob.nbytes() < size + 200


def test_a_subclass_of_bytes_stays_one() -> None:
    copy = loads(dumps(np.bytes_(b"a" * SMALL)))
    assert type(copy) is np.bytes_ and len(copy) == SMALL


def test_code_by_value_keeps_the_name_of_its_file():
    """cloudpickle 3.1.3 writes ``<dynamic-code>`` instead, and tracebacks show no line of it."""

    def local():
        return 1

    there = loads(dumps(local))
    assert there() == 1
    assert there.__code__.co_filename == __file__
    assert there.__code__.co_name == "local"
