"""Names of live objects: those that were chosen are there, and of the kind that is written down;
those that were left out are not there, and have a reason.
"""

from __future__ import annotations

import inspect
import re
from collections import deque
from collections.abc import Iterator, KeysView, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from helpers import run

from shoal import Client, Nanny, Scheduler, SchedulerPlugin, Worker

LIST = Path(__file__).with_name("objects.txt")
REASONS = set(re.findall(r"^# (\w+)  +\S", LIST.read_text(encoding="utf-8"), re.M))
_WORDS = ("MemoryState", "TaskGroup", "TaskPrefix", "Status")


def rows() -> Iterator[tuple[str, str, str, str]]:
    """Return (object, "+" or "-", name, kind or reason)."""
    of = ""
    for line in LIST.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            of = line.strip("[]")
        elif line.startswith("+ "):
            _, name, kind = line.split()
            yield of, "+", name, kind
        elif line.startswith("- "):
            name, _, reason = line[2:].partition(": ")
            yield of, "-", name, reason


def kind_of(value: Any) -> str:
    if inspect.iscoroutinefunction(value):
        return "coroutine"
    if inspect.isroutine(value):
        return "method"
    if type(value).__name__ in _WORDS:
        return type(value).__name__
    kinds: list[tuple[Any, str]] = [
        (bool, "bool"),
        ((int, float), "number"),
        (str, "str"),
        (set, "set"),
        (KeysView, "keys"),
        (Mapping, "mapping"),
        ((Sequence, deque), "sequence"),
    ]
    return next((word for kind, word in kinds if isinstance(value, kind)), "object")


def problems_of(found: Mapping[str, Any]) -> list[str]:
    problems = []
    for of, sign, name, word in rows():
        try:
            value = getattr(found[of], name)
        except AttributeError:
            if sign == "+":
                problems.append(f"{of}.{name} is missing")
            continue
        if sign == "-":
            problems.append(f"{of}.{name} is there by now: say of what kind it is")
        elif kind_of(value) != word:
            problems.append(f"{of}.{name} is a {kind_of(value)}, not a {word}")
    return problems


def test_the_list_is_well_formed() -> None:
    listed = list(rows())
    assert len(REASONS) >= 8 and len(listed) > 450
    assert len({row[:1] + row[2:3] for row in listed}) == len(listed)
    assert [row for row in listed if row[1] == "-" and row[3] not in REASONS] == []
    assert {row[3] for row in listed if row[1] == "-"} == REASONS


@pytest.mark.process
def test_live_objects_have_the_names_that_were_chosen() -> None:
    async def main() -> None:
        async with (
            Scheduler(host="127.0.0.1", port=0) as s,
            Nanny(s.address, nthreads=1) as n,
            Worker(s.address, nthreads=1) as w,
            Client(s.address, asynchronous=True, set_as_default=False) as c,
        ):
            x = c.submit(int, 1, key="x")
            assert await x == 1
            ts = s.tasks["x"]
            found = {
                "ClientState": s.clients[c.id],
                "Nanny": n,
                "Scheduler": s,
                "SchedulerPlugin": SchedulerPlugin,
                "TaskGroup": ts.group,
                "TaskPrefix": ts.prefix,
                "TaskState": ts,
                "Worker": w,
                "WorkerState": s.workers[w.address],
            }
            assert problems_of(found) == []
            assert problems_of({of: object() for of in found})  # it can fail
            w.validate_state()
            s.validate_state()

    run(main(), timeout=40)
