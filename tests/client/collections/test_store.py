"""`dask.array.store` into memory: it arrives, or an error says why it cannot."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest

from shoal import Client
from shoal.wire.pickling import dumps_bytes, loads_bytes
from shoal.wire.reference import Reference, _find


@pytest.mark.parametrize("chunks", [5, 20])
@pytest.mark.parametrize("lock", [False, True])
def test_into_memory_of_this_process(client: Client, chunks: int, lock: bool) -> None:
    target = np.zeros((20, 20))
    da.store(da.ones((20, 20), chunks=chunks), target, lock=lock)
    assert target.sum() == 400
    later = da.store(da.ones((10, 20), chunks=chunks) + 1, target[10:], compute=False, lock=lock)
    assert target.sum() == 400
    later.compute()
    assert target.sum() == 600


def test_several_targets_one_by_one(client: Client) -> None:
    class Target:
        """Not to be pickled, as a file that is open."""

        def __init__(self) -> None:
            self.got: dict[str, float] = {}

        def __setitem__(self, index: object, value: np.ndarray) -> None:
            self.got[repr(index)] = float(value.sum())

        def __reduce__(self) -> str:
            raise TypeError("this is open")

    targets = [Target(), Target()]
    x = da.arange(12, chunks=4)
    da.store([x, x + 1], targets, lock=False)
    assert [sum(target.got.values()) for target in targets] == [66, 78]
    assert [len(target.got) for target in targets] == [3, 3]


def test_into_memory_that_workers_do_not_have(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client._session.stores, "in_process", False)
    for target in (np.zeros(4), np.zeros(8).reshape(2, 4)[0]):
        with pytest.raises(TypeError, match=r"memory of this process.*processes=False"):
            da.store(da.ones(4, chunks=2), target, lock=False)


def test_references_are_of_one_process_and_end_with_what_they_refer_to() -> None:
    value = [1]
    reference = Reference(value)
    data = dumps_bytes((reference, reference))
    first, second = loads_bytes(data)
    assert first is second is value
    assert "list" in repr(reference)
    name = reference._name
    del reference
    with pytest.raises(RuntimeError, match="not there any more"):
        loads_bytes(data)
    with pytest.raises(RuntimeError, match="another process"):
        _find(-1, name[1])
