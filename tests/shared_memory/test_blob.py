"""Values in shared memory, lent and borrowed; and who is told apart as being on another host."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import dask.config
import numpy as np
import pandas as pd
import pytest
from helpers import run

from shoal.shared_memory import (
    SharedBlob,
    borrow,
    host,
    host_identity,
    lending,
    share_from,
)
from shoal.wire.pickling import dumps, loads

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux only")

MIB = 1 << 20


@pytest.mark.parametrize(
    "value",
    [
        np.arange(300_000.0),
        np.asfortranarray(np.ones((1000, 300))),
        np.arange(600_000)[::2],  # not contiguous: it is copied into the pickle
        pd.DataFrame({"a": np.arange(200_000), "b": 0.5, "c": ["text"] * 200_000}),
        b"x" * MIB,
        {"a": [np.zeros(MIB, "u1"), np.ones(MIB, "u1")], "b": "small"},
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_come_out_as_they_went_in(value: Any) -> None:
    shared = SharedBlob.write(dumps(value))
    (opened, failed) = borrow({"x": shared.reference()})
    copy = loads(opened["x"].blob())
    shared.close()
    opened["x"].close()
    assert failed == []
    if isinstance(value, pd.DataFrame):
        pd.testing.assert_frame_equal(copy, value)
        copy.loc[0, "a"] = 7
        assert value.loc[0, "a"] == 0
    else:
        np.testing.assert_equal(copy, value)


def test_what_cannot_be_opened_is_named() -> None:
    shared = SharedBlob.write(dumps(np.zeros(MIB, "u1")))
    reference = shared.reference()
    opened, failed = borrow({"a": reference, "b": {}, "c": {**reference, "pid": 0}, "d": 5})
    assert list(opened) == ["a"] and failed == ["b", "c", "d"]
    shared.close()
    opened["a"].close()


def test_the_configuration_turns_it_off() -> None:
    assert host_identity() and share_from() == MIB
    with dask.config.set({"shoal.shared-memory.from": None}):
        assert host_identity() is None and share_from() is None
    with dask.config.set({"shoal.shared-memory.from": "plenty"}), pytest.raises(ValueError):
        share_from()


@pytest.mark.parametrize("what", ["boot_id", "ns/pid", "ns/user", "euid"])
def test_another_boot_namespace_or_user_is_another_host(
    what: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    mine = host_identity()
    host._identity.cache_clear()
    if what == "boot_id":
        (tmp_path / "boot").write_text("another")
        monkeypatch.setattr(host, "_BOOT_ID", str(tmp_path / "boot"))
    elif what == "euid":
        monkeypatch.setattr("os.geteuid", lambda: 12345)
    else:
        readlink = host.os.readlink
        monkeypatch.setattr(
            "os.readlink", lambda path: "pid:[1]" if path.endswith(what) else readlink(path)
        )
    assert host_identity() not in (None, mine)
    monkeypatch.undo()
    host._identity.cache_clear()
    assert host_identity() == mine


def test_where_proc_is_that_of_others_nothing_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    host._identity.cache_clear()
    readlink = host.os.readlink
    monkeypatch.setattr("os.readlink", lambda path: "1" if path == "/proc/self" else readlink(path))
    assert host_identity() is None
    monkeypatch.undo()
    host._identity.cache_clear()


def test_each_blob_is_lent_once_and_only_if_large() -> None:
    blobs = {"large": dumps(np.ones(MIB, "u1")), "small": dumps(np.ones(70_000, "u1"))}

    async def main() -> None:
        async with lending(blobs) as lender:
            assert lender.worth(["large"]) and not lender.worth(["small"])
            first, second = await asyncio.gather(lender.lend(blobs), lender.lend(blobs))
            assert first == second and list(first) == ["large"]
            opened, _ = borrow(first)
            opened["large"].close()
        assert borrow(first)[1] == ["large"]

    run(main())


def test_what_cannot_be_copied_is_not_lent(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> int:
        raise OSError(24, "Too many open files")

    async def main() -> None:
        async with lending({"x": dumps(np.ones(MIB, "u1"))}) as lender:
            monkeypatch.setattr("os.memfd_create", fail)
            assert await lender.lend(["x"]) == {}

    run(main())
