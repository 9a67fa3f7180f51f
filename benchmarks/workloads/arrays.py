"""Arrays whose blocks need each other: other chunks, and neighbours' edges."""

from __future__ import annotations

from workloads import graphs
from workloads.program import run

TITLE = "arrays"
SYSTEMS = ["shoal", "dask", "dask-best"]
ENVIRONMENT = "data"
CASES = {
    "rechunk": "256 MiB from 16 rows of chunks to 16 columns, and its sum",
    "map_overlap": "a mean of 5 x 5 neighbours on 4,096 x 4,096 numbers in 64 chunks",
}
FIGURES = {**graphs.FIGURES, "tasks": ("tasks/s", "higher")}
SIDE, PARTS = 4_096, 16  # 128 MiB of float64 for each half
OVERLAP_CHUNK, DEPTH = 512, 2


def numbers(rows, chunks):
    """Return an array whose every number is its position."""
    import dask.array

    flat = dask.array.arange(rows * SIDE, chunks=rows * SIDE // PARTS, dtype="float64")
    return flat.reshape((rows, SIDE)).rechunk(chunks)


def rechunk():
    """Turn rows of chunks into columns of chunks."""
    rows = 2 * SIDE
    return numbers(rows, (rows // PARTS, SIDE)).rechunk((rows, SIDE // PARTS)).sum()


def smooth(block):
    """Return the mean of all neighbours; edges are cut off afterwards."""
    import numpy

    reach = range(-DEPTH, DEPTH + 1)
    shifted = [numpy.roll(block, (i, j), (0, 1)) for i in reach for j in reach]
    return sum(shifted) / len(shifted)


def map_overlap():
    """Smooth an array that goes on at the opposite edge."""
    chunks = (OVERLAP_CHUNK, OVERLAP_CHUNK)
    x = numbers(SIDE, chunks)
    return x.map_overlap(smooth, depth=DEPTH, boundary="periodic", dtype=float).sum()


def main(name, case):
    """Run one of them once on the system called `name`."""
    count = SIDE * SIDE * (2 if case == "rechunk" else 1)
    build = {"rechunk": rechunk, "map_overlap": map_overlap}[case]
    # A mean over a torus keeps the sum.
    right = count * (count - 1) / 2
    return graphs.measure(name, build, right=right, modules=("numpy", "dask.array"))


if __name__ == "__main__":
    run(main)
