"""Names of clients, futures, primitives and clusters: those that were chosen are there, no others.

``object_names.txt`` lists them; see its head. A name that is left out has its reason there, and one
that comes after all has to be moved to the others.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import shoal
from shoal.compat.facade import facade


def read() -> dict[str, dict[str, str]]:
    """Return the names of each object, with the reason for those that are left out."""
    found: dict[str, dict[str, str]] = {}
    names: dict[str, str] = {}
    for line in (Path(__file__).parent / "object_names.txt").read_text().splitlines():
        if line.startswith("["):
            names = found[line.strip("[]")] = {}
        elif line.startswith(("+ ", "- ")):
            name, _, why = line[2:].partition(": ")
            assert bool(why) == line.startswith("-"), f"a reason is for what is left out: {line}"
            assert name not in names, f"twice: {line}"
            names[name] = why
    return found


LISTED = read()


@pytest.fixture(scope="module")
def objects() -> Iterator[dict[str, Any]]:
    with shoal.Client(processes=False, n_workers=1, dashboard_address=None) as client:
        future = client.submit(int)
        yield {
            "Client": client,
            "Future": future,
            "as_completed": shoal.as_completed([future]),
            "Lock": shoal.Lock("lock"),
            "MultiLock": shoal.MultiLock(["lock"]),
            "Semaphore": shoal.Semaphore(1, "semaphore"),
            "Security": shoal.Security(),
            "Adaptive": shoal.Adaptive,
            "LocalCluster": client.cluster,
            "SpecCluster": shoal.SpecCluster,
            "distributed": facade("distributed"),
        }


@pytest.mark.parametrize("kind", LISTED)
def test_the_names_that_were_chosen(kind: str, objects: dict[str, Any]) -> None:
    found = objects[kind]
    for name, why in LISTED[kind].items():
        # Instance attributes of classes are looked for in what makes them.
        there = hasattr(found, name) or (name == "name" and "Cluster" in kind)
        assert there == (not why), f"{kind}.{name}: {'there, move it' if there else 'missing'}"


def test_objects_are_listed() -> None:
    assert set(LISTED) >= {"Client", "Future", "Lock", "Semaphore", "distributed"}
    assert importlib.import_module("shoal").SpecCluster is shoal.SpecCluster
