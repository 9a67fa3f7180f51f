"""Count the words of the machine's own documentation with dask.bag.

Reads every text below /usr/share/doc, compressed or not, on a cluster whose workers have so little
memory that the words they hold go to disk meanwhile, and checks the outcome against one process.

    python examples/wordcount.py                 # /usr/share/doc
    python examples/wordcount.py FOLDER          # another folder
    python examples/wordcount.py --limit 300MB   # memory of each worker
"""

from __future__ import annotations

import argparse
import gzip
import re
import time
from collections import Counter
from pathlib import Path

import dask
import dask.bag as db

from shoal import Client

WORD = re.compile(r"[a-z]{3,}")
SHOWN = 10
PARTS = 40


def texts(folder: Path) -> list[str]:
    """Return the files to read, in a fixed order."""
    found = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return sorted(str(path) for path in found if path.suffix not in (".png", ".svg", ".pdf"))


def words(path: str) -> list[str]:
    """Return the words of one file; none where it is no text."""
    opened = gzip.open if path.endswith(".gz") else open
    try:
        with opened(path, "rt", encoding="utf-8", errors="ignore") as file:
            return WORD.findall(file.read().lower())
    except OSError:
        return []


def ask(paths: list[str], parts: int = PARTS) -> tuple[Counter[str], int, db.Bag]:
    """Return how often each word occurs, how many there are, and the words.

    The words stay on the workers of the present client, as one would keep them to ask several
    questions of them.
    """
    corpus = db.from_sequence(paths, npartitions=parts).map(words).flatten().persist()
    return Counter(dict(corpus.frequencies().compute())), corpus.count().compute(), corpus


def count_alone(paths: list[str]) -> Counter[str]:
    """Return how often each word occurs, in one process."""
    counts: Counter[str] = Counter()
    for path in paths:
        counts.update(words(path))
    return counts


def spilled(dask_worker) -> int:
    """Return how many bytes a worker has on disk now."""
    return dask_worker.memory()["managed_spilled"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path("/usr/share/doc"))
    parser.add_argument("--limit", default="200 MB", help="memory of each worker")
    arguments = parser.parse_args()
    paths = texts(arguments.folder)
    size = sum(Path(path).stat().st_size for path in paths)
    print(f"{len(paths):,} files, {size / 1e6:.0f} MB, below {arguments.folder}")

    # Most of the limit is the interpreter itself; words go to disk from a tenth of it on.
    fractions = {"memory_target_fraction": 0.1, "memory_spill_fraction": False}
    pause = {"memory_pause_fraction": False}
    with (
        dask.config.set({"distributed.worker.memory.terminate": False}),
        Client(
            n_workers=2, threads_per_worker=1, memory_limit=arguments.limit, **fractions, **pause
        ) as client,
    ):
        start = time.perf_counter()
        counts, total, corpus = ask(paths)
        seconds = time.perf_counter() - start
        on_disk = sum(client.run(spilled).values())
        del corpus

    print(f"{total:,} words, {len(counts):,} different, in {seconds:.1f} s")
    print(f"{on_disk / 1e6:.0f} MB of them were on the workers' disks at the end")
    for word, count in counts.most_common(SHOWN):
        print(f"  {word:<12}{count:>10,}")

    expected = count_alone(paths)
    assert counts == expected, "the cluster counted otherwise than one process"
    assert total == sum(expected.values())
    print("checked against one process: the same")


if __name__ == "__main__":
    main()
