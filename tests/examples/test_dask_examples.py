"""The examples with dask's collections, on little data: each checks its own outcome."""

from __future__ import annotations

import gzip
import subprocess
import sys

import pytest
from helpers import ROOT

pytestmark = pytest.mark.process


def example(name, *arguments):
    command = [sys.executable, str(ROOT / "examples" / name), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=55)
    assert done.returncode == 0, done.stderr
    assert "checked against" in done.stdout
    return done.stdout


def test_wordcount(tmp_path):
    (tmp_path / "a.txt").write_text("one two two three 22 xy")
    with gzip.open(tmp_path / "b.gz", "wt") as file:
        file.write("Two THREE three")
    (tmp_path / "c.gz").write_text("this is not compressed")
    out = example("wordcount.py", str(tmp_path))
    assert "7 words, 3 different" in out
    assert out.index("three ") < out.index("one ")


def test_flights_frame():
    assert "336,776 flights" in example("flights_frame.py")


def test_climate():
    assert "2009" in example("climate.py", "--gigabytes", "0.01")


def test_sort_records():
    out = example("sort_records.py", "--gigabytes", "0.03", "--part", "2")
    assert "300,000 records" in out
