"""The walk of one call, as the page on the architecture lists it, is the one that calls take."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest
from helpers import ROOT, SOURCE

STOP = re.compile(r"^\| `(?P<file>[\w/]+\.py)` `(?P<function>[\w.]+)` \|", re.M)


def listed() -> list[tuple[str, str]]:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = page.partition("<!-- walk -->")[2].partition("\n\n")[0]
    return [(stop["file"], stop["function"]) for stop in STOP.finditer(table)]


@pytest.mark.process
def test_a_call_passes_the_stops_that_are_listed():
    program = ROOT / "tests" / "docs" / "walk_of_a_call.py"
    path = os.pathsep.join([str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, str(program)],
        env={**os.environ, "PYTHONPATH": path.strip(os.pathsep)},
        capture_output=True,
        text=True,
        timeout=50,
        check=True,
    )
    passed = {(file, function): i for i, (file, function) in enumerate(json.loads(done.stdout))}
    stops = listed()
    assert len(stops) > 30
    missed = [stop for stop in stops if stop not in passed]
    assert not missed, f"a call does not pass {missed}"
    order = [passed[stop] for stop in stops]
    late = [stop for stop, here, after in zip(stops, order, order[1:]) if here > after]
    assert not late, f"these come after what is listed next: {late}"


def test_each_stop_does_something():
    """No file of the walk only hands on: it has more than imports, names and single calls."""
    for file, _ in listed():
        text = (SOURCE / file).read_text(encoding="utf-8")
        code = [line for line in text.splitlines() if line.strip() and "import" not in line]
        assert len(code) > 40, f"{file} is hardly more than a door"
