"""Sort a file of 100-byte records that is larger than memory, as sort benchmarks do.

Makes the file in gensort's binary format (a key of 10 random bytes, the record's number, filler),
sorts it by the key on a cluster whose workers have less memory together than the file is long,
writes the sorted records into another file, and checks that as valsort does: the keys are in order,
and the records are the same.

    python examples/sort_records.py                                # 400 MB, two workers of 300 MB
    python examples/sort_records.py --gigabytes 4 --limit 500MB

Needs pandas and pyarrow.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import zlib
from itertools import pairwise
from pathlib import Path
from typing import Any

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa

from shoal import Client

KEY, RECORD = 10, 100
KIND = pd.ArrowDtype(pa.binary(RECORD))
META = pd.DataFrame({"key": np.empty(0, "u8"), "record": pd.array([], dtype=KIND)})


def generate(path: Path, start: int, count: int) -> tuple[int, int]:
    """Write the records of these numbers to their place; return how many, and their checksum."""
    numbers = np.arange(start, start + count)
    records = np.empty((count, RECORD), "u1")
    records[:, :KEY] = np.random.default_rng(start).integers(0, 256, (count, KEY), "u1")
    records[:, KEY : KEY + 2] = (0x00, 0x11)
    records[:, 12:44] = np.char.mod("%032X", numbers).astype("S32").view("u1").reshape(count, 32)
    records[:, 44:48] = (0x88, 0x99, 0xAA, 0xBB)
    records[:, 48:96] = (numbers[:, None] % 16 + ord("0")).astype("u1")
    records[:, 96:] = (0xCC, 0xDD, 0xEE, 0xFF)
    with path.open("r+b") as file:
        file.seek(start * RECORD)
        file.write(records)
    return count, checksum(records)


def checksum(records: np.ndarray) -> int:
    """Return the sum of the records' CRC-32s; their order does not matter."""
    return sum(map(zlib.crc32, records.reshape(-1, RECORD)))


def read(start: int, count: int, path: Path) -> pd.DataFrame:
    """Return records of the file, with the first 8 bytes of their keys as a number."""
    data = np.fromfile(path, "u1", count * RECORD, offset=start * RECORD)
    column = pa.FixedSizeBinaryArray.from_buffers(
        KIND.pyarrow_dtype, len(data) // RECORD, [None, pa.py_buffer(data)]
    )
    return pd.DataFrame({"key": first_bytes(data), "record": pd.array(column, dtype=KIND)})


def first_bytes(data: np.ndarray) -> np.ndarray:
    """Return the first 8 bytes of each key, as numbers that sort as the keys do."""
    return data.reshape(-1, RECORD)[:, :8].copy().view(">u8").ravel().astype("u8")


def raw(frame: pd.DataFrame) -> np.ndarray:
    """Return the records of a frame as an array of bytes."""
    column = pa.chunked_array(frame["record"].array.__arrow_array__()).combine_chunks()
    whole = np.frombuffer(column.buffers()[1], "u1").reshape(-1, RECORD)
    return whole[column.offset : column.offset + len(column)]


def write(frame: pd.DataFrame, place: int, folder: Path) -> pd.DataFrame:
    """Write the records of one partition, in order of the whole key, into a file of their own."""
    records = raw(frame)
    # They are in order of 8 bytes: few of them are equal in these, and have to be looked at again.
    key = first_bytes(records)
    if len(key) > 1 and (key[1:] == key[:-1]).any():
        last = records[:, 8].astype("u2") << 8 | records[:, 9]
        records = records[np.lexsort((last, key))]
    records.tofile(folder / f"{place:06}")
    return pd.DataFrame({"records": [len(records)]})


def check(folder: Path, total: int, expected: int) -> None:
    """Raise unless the files hold the records, in order."""
    count = found = 0
    before = b""
    for path in sorted(folder.iterdir()):
        records = np.fromfile(path, "u1").reshape(-1, RECORD)
        whole = [before, *(bytes(key) for key in records[:, :KEY])]
        if any(a > b for a, b in pairwise(whole)):
            raise AssertionError(f"{path.name} is not in order")
        count += len(records)
        found += checksum(records)
        before = whole[-1]
    if (count, found) != (total, expected):
        raise AssertionError(f"{count} records with checksum {found}, not {total} with {expected}")


def sort(source: Path, target: Path, total: int, each: int) -> int:
    """Sort the records into files of a folder, whose names are in order; return how many."""
    starts = list(range(0, total, each))
    frame = dd.from_map(read, starts, count=each, path=source, meta=META, enforce_metadata=False)
    # Keys are random: partitions of equal ranges are of equal length, about. For others, sample.
    edges = [round(i * 2**64 / len(starts)) for i in range(len(starts))]
    divisions = [*edges, 2**64 - 1]
    ordered = frame.set_index("key", divisions=divisions)
    places = list(range(len(starts)))
    parts: list[Any] = [
        part.map_partitions(write, place, target, meta={"records": "i8"}, enforce_metadata=False)
        for part, place in zip(ordered.partitions, places, strict=True)
    ]
    return int(dd.concat(parts).records.sum().compute())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=0.4)
    parser.add_argument("--limit", default="300MB", help="memory of each of the two workers")
    parser.add_argument("--part", type=float, default=16, help="megabytes of a partition")
    parser.add_argument("--folder", help="where the files are made; a temporary one by default")
    arguments = parser.parse_args()
    total = int(arguments.gigabytes * 1e9) // RECORD
    each = int(arguments.part * 1e6) // RECORD
    with (
        tempfile.TemporaryDirectory(dir=arguments.folder) as folder,
        Client(
            n_workers=2, threads_per_worker=1, memory_limit=arguments.limit, dashboard_address=None
        ) as client,
    ):
        source, target = Path(folder) / "records", Path(folder) / "sorted"
        source.touch()
        target.mkdir()
        starts = range(0, total, each)
        made = client.map(
            generate, [source] * len(starts), starts, [min(each, total - at) for at in starts]
        )
        expected = sum(value for _, value in client.gather(made))
        del made
        began = time.perf_counter()
        count = sort(source, target, total, each)
        seconds = time.perf_counter() - began
        size = total * RECORD / 1e6
        print(f"{count:,} records, {size:,.0f} MB in {seconds:.1f} s: {size / seconds:.0f} MB/s")
        check(target, total, expected)
        print("checked against the input: in order, and the same records")


if __name__ == "__main__":
    main()
