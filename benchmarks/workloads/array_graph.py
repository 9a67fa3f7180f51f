"""An array of ten thousand tiny blocks: what `compute()` costs, the client's work included."""

from __future__ import annotations

from workloads import graphs
from workloads.program import run

TITLE = "a dask array graph of about 10,000 tiny tasks through compute()"
SYSTEMS = ["shoal", "dask", "dask-best"]
ENVIRONMENT = "data"
FIGURES = {**graphs.FIGURES, "tasks": ("tasks/s", "higher")}
SIDE, BLOCK = 54, 2  # 54 x 54 blocks of 2 x 2 numbers


def build():
    """Add an array to its transpose and sum it up by a tree."""
    import dask.array

    side = SIDE * BLOCK
    numbers = dask.array.arange(side * side, chunks=BLOCK * side)
    x = numbers.reshape((side, side)).rechunk((BLOCK, BLOCK))
    return (x + x.T).sum()


def main(name):
    """Run it once on the system called `name`."""
    numbers = (SIDE * BLOCK) ** 2
    right = numbers * (numbers - 1)
    return graphs.measure(name, build, right=right, modules=("numpy", "dask.array"))


if __name__ == "__main__":
    run(main)
