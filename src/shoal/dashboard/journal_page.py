"""A scheduler's journal as a page: its events, faults among them, and what was alive at its end."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from dask.utils import format_bytes

from shoal.dashboard.collector import fault_of
from shoal.diagnostics.recording import RecordedPage
from shoal.diagnostics.stream_recording import stream_frame
from shoal.scheduler.core.journal import recorder
from shoal.scheduler.core.journal.format import read
from shoal.scheduler.core.journal.restoring import fold

__all__ = ["journal_page"]

_LAST = 5_000  # events that are listed
_KINDS = {
    recorder.TASK: "Tasks to be done",
    recorder.QUEUE: "Queues with a limit",
    recorder.ITEM: "Items in queues",
    recorder.VARIABLE: "Variables",
    recorder.DATASET: "Datasets",
    recorder.FLAG: "Events that are set",
    recorder.SEMAPHORE: "Semaphores",
    recorder.HELD: "Locks and leases",
    recorder.NOTE: "Entries of metadata",
    recorder.PLUGIN: "Plugins",
}


def journal_page(folder: str | Path) -> RecordedPage:
    """Return the page of a journal.

    Parameters
    ----------
    folder : str or Path
        The folder of the journal, or its file.

    Raises
    ------
    JournalError
        When it is no journal, or damaged.
    OSError
        When it cannot be read.
    """
    path = Path(folder)
    path = path / "journal" if path.is_dir() else path
    data = path.read_bytes()
    contents = read(data, str(path))
    # All events of the file, those too that it drops further on; a snapshot repeats none of them.
    events: dict[Any, tuple[float, str, Any]] = {}
    for change in contents.changes:
        if change[0] == recorder.EVENT and len(change) == 3:
            (topic, _), (when, message) = change[1], change[2]
            events[change[1]] = (when, topic, message)
    told = sorted(events.values(), key=lambda event: event[0])
    alive = Counter(kind for kind, _ in fold(contents.changes))
    facts = [
        ("Journal", str(path)),
        ("Size", format_bytes(len(data))),
        ("Damage", contents.problem or "none"),
        *((name, str(alive[kind])) for kind, name in _KINDS.items()),
        ("Events", str(len(told))),
    ]
    faults = (fault_of(when, topic, message) for when, topic, message in told)
    frame = stream_frame((), stop=told[-1][0] if told else 0.0)
    frame["faults"] = [fault for fault in faults if fault is not None]
    answers = {
        "summary": {"facts": facts, "work": (), "code": ""},
        "events": _events(told),
    }
    return RecordedPage("Journal", ("summary", "events", "faults"), [frame], answers)


def _events(told: list[tuple[float, str, Any]]) -> dict[str, Any]:
    times: dict[str, list[float]] = {}
    for when, topic, _ in told:
        times.setdefault(topic, []).append(when)
    return {
        "topics": {topic: len(found) for topic, found in times.items()},
        "times": times,
        "last": [(when, topic, str(message)[:500]) for when, topic, message in told[-_LAST:]],
    }
