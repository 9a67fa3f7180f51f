"""A task stream as a recording of the dashboard: when and on which thread of which worker each task
ran, and what went between workers for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from dask.utils import key_split

from shoal.diagnostics.columns import float32, float64, uint8, uint32
from shoal.diagnostics.recording import RecordedPage

__all__ = ["Transfer", "kinds_of", "stream_frame", "stream_page", "transfers_of", "transfers_told"]

_STATES = ("memory", "erred")
_BINS = 120
_MOST = 500  # pairs of workers
_KEY = 200  # letters of a key that are told
_TRANSFERS = 0xFFFFFFFE  # in place of a thread: its row comes after those of all threads


class Transfer(NamedTuple):
    """Data that a worker got from another one, at once."""

    source: str
    target: str
    start: float
    stop: float
    nbytes: int


def stream_frame(
    records: Sequence[Mapping[str, Any]],
    workers: Mapping[str, Mapping[str, Any]] | None = None,
    history: Mapping[str, Any] | None = None,
    stop: float = 0.0,
) -> dict[str, Any]:
    """Return the one frame that tells all of a task stream.

    Parameters
    ----------
    records : sequence of dict
        As `Client.get_task_stream` returns them.
    workers : mapping, optional
        Facts about workers by their addresses.
    history : mapping, optional
        ``times``, and ``columns`` of numbers by name.
    stop : float
        When it ended, in seconds since the epoch; with the last run by default.
    """
    spans = _spans(records)
    numbers = {address: i for i, address in enumerate(workers or {})}
    for record in records:
        numbers.setdefault(record["worker"], len(numbers))
    prefixes: dict[str, int] = {}
    for span in spans:
        prefixes.setdefault(span[2], len(prefixes))
    history = history or {"times": (), "columns": {}}
    return {
        "kind": "full",
        "now": stop or max((span[4] for span in spans), default=0.0),
        "id": "",
        "address": "",
        "started": min((span[3] for span in spans), default=0.0),
        "states": _STATES,
        "statuses": (),
        "numbers": (),
        "totals": {},
        "history": {
            "time": float64(history["times"]),
            "columns": {name: float32(each) for name, each in history["columns"].items()},
        },
        "workers": [
            _worker(number, address, (workers or {}).get(address, {}))
            for address, number in numbers.items()
        ],
        "worker_rows": {"number": b"", "columns": ()},
        "prefixes": list(prefixes),
        "prefix_rows": _prefix_rows(records, prefixes),
        "streams": [_stream(spans, numbers, prefixes)] if spans else [],
        "faults": (),
    }


def _worker(number: int, address: str, told: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "number": number,
        "address": address,
        "name": str(told.get("name", address)),
        "threads": told.get("nthreads", 0),
        "limit": told.get("memory_limit") or 0,
    }


def _spans(records: Iterable[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
    """Return (worker, thread, kind, start, stop, bytes, failed, key), ordered by ends."""
    found: list[tuple[Any, ...]] = []
    for record in records:
        key, worker, thread = str(record["key"])[:_KEY], record["worker"], record["thread"]
        kind = key_split(record["key"])
        failed = record["status"] == "error"
        for span in record["startstops"]:
            action, times = span["action"], (span["start"], span["stop"])
            if action == "compute":
                size = max(0, record["nbytes"])
                found.append((worker, thread, kind, *times, size, failed, key))
            else:
                size = span.get("nbytes", 0)
                # A transfer goes on beside the runs of the threads, so it has a row of its own.
                row = _TRANSFERS if action == "transfer" else thread
                found.append((worker, row, action, *times, size, False, f"{action} for {key}"))
    found.sort(key=lambda span: span[4])
    return found


def _stream(
    spans: Sequence[tuple[Any, ...]], numbers: Mapping[str, int], prefixes: Mapping[str, int]
) -> dict[str, Any]:
    threads: dict[tuple[str, Any], int] = {}
    for worker, thread, *_ in spans:
        number = _TRANSFERS if thread == _TRANSFERS else len(threads) + 1
        threads.setdefault((worker, thread), number)
    return {
        "worker": uint32(numbers[span[0]] for span in spans),
        # Without its worker's notes it is not known on which thread a task ran.
        "thread": uint32(threads[span[0], span[1]] if span[1] else 0 for span in spans),
        "prefix": uint32(prefixes[span[2]] for span in spans),
        "start": float64(span[3] for span in spans),
        "stop": float64(span[4] for span in spans),
        "nbytes": float64(span[5] for span in spans),
        "failed": uint8(span[6] for span in spans),
        "keys": [span[7] for span in spans],
    }


def kinds_of(records: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the kinds of work in a task stream, longest first."""
    kinds: dict[str, dict[str, Any]] = {}
    for record in records:
        name = key_split(record["key"])
        kind = kinds.get(name)
        if kind is None:
            numbers = dict.fromkeys(("tasks", "failed", "seconds", "longest", "nbytes"), 0)
            kind = kinds[name] = {"name": name, **numbers}
        kind["tasks"] += 1
        kind["failed"] += record["status"] == "error"
        kind["nbytes"] += max(record["nbytes"], 0)
        for span in record["startstops"]:
            if span["action"] == "compute":
                seconds = span["stop"] - span["start"]
                kind["seconds"] += seconds
                kind["longest"] = max(kind["longest"], seconds)
    return sorted(kinds.values(), key=lambda kind: -kind["seconds"])


def _prefix_rows(
    records: Iterable[Mapping[str, Any]], prefixes: Mapping[str, int]
) -> dict[str, Any]:
    kinds = [kind for kind in kinds_of(records) if kind["name"] in prefixes]
    columns = [
        [kind["tasks"] - kind["failed"] for kind in kinds],
        [kind["failed"] for kind in kinds],
        [kind["seconds"] / kind["tasks"] for kind in kinds],
        [kind["nbytes"] for kind in kinds],
        [0] * len(kinds),
    ]
    return {
        "number": uint32(prefixes[kind["name"]] for kind in kinds),
        "columns": [float64(column) for column in columns],
    }


def transfers_of(records: Iterable[Mapping[str, Any]]) -> list[Transfer]:
    """Return the transfers in a task stream; one that several tasks waited for counts once."""
    found: dict[Transfer, None] = {}
    for record in records:
        for span in record["startstops"]:
            if span["action"] == "transfer":
                transfer = Transfer(
                    span["source"],
                    record["worker"],
                    span["start"],
                    span["stop"],
                    span.get("nbytes", 0),
                )
                found[transfer] = None
    return sorted(found, key=lambda transfer: transfer.start)


def transfers_told(transfers: Sequence[Transfer], most: int = _MOST) -> dict[str, Any]:
    """Return how much went from which worker to which, and the bytes a second over time."""
    pairs: dict[tuple[str, str], dict[str, Any]] = {}
    for transfer in transfers:
        source, target = transfer.source, transfer.target
        pair = pairs.get((source, target))
        if pair is None:
            pair = {"source": source, "target": target, "count": 0, "nbytes": 0, "seconds": 0.0}
            pairs[source, target] = pair
        pair["count"] += 1
        pair["nbytes"] += transfer.nbytes
        pair["seconds"] += transfer.stop - transfer.start
    ordered = sorted(pairs.values(), key=lambda pair: -pair["nbytes"])
    times, rates = _rates(transfers) if transfers else ([], [])
    return {
        "times": times,
        "rates": rates,
        "pairs": ordered[:most],
        "more": max(0, len(ordered) - most),
    }


def _rates(transfers: Sequence[Transfer]) -> tuple[list[float], list[float]]:
    """Return the bytes a second that were on their way, over time."""
    begin = min(transfer.start for transfer in transfers)
    end = max(transfer.stop for transfer in transfers)
    step = max(end - begin, 1e-6) / _BINS
    rates = [0.0] * _BINS
    for transfer in transfers:
        first = min(int((transfer.start - begin) / step), _BINS - 1)
        last = min(int((transfer.stop - begin) / step), _BINS - 1)
        for i in range(first, last + 1):
            rates[i] += transfer.nbytes / (last - first + 1) / step
    return [begin + i * step for i in range(_BINS)], rates


def stream_page(records: Sequence[Mapping[str, Any]], title: str = "Task stream") -> RecordedPage:
    """Return a task stream as a page.

    Parameters
    ----------
    records : sequence of dict
        As `Client.get_task_stream` returns them.
    """
    frame = stream_frame(records)
    answers = {
        "summary": {"facts": [("Tasks", str(len(records)))], "work": kinds_of(records), "code": ""},
        "transfers": transfers_told(transfers_of(records)),
    }
    return RecordedPage(title, ["tasks", "summary", "transfers"], [frame], answers)
