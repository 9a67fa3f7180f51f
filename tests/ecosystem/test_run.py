"""The driver of `make ecosystem`, and its fast projects.

Those of `in_suite.txt` are always run: `make pytest` makes their environments. Others are run where
`make ecosystem` has made theirs.
"""

from __future__ import annotations

import subprocess
import sys

import pytest
from helpers import ROOT

from ecosystem import run as driver

IN_SUITE = (ROOT / "ecosystem" / "in_suite.txt").read_text().split()
OTHERS = [
    project
    for project in ["fugue", "lightgbm", "modin", "xarray", "xgboost"]
    if (ROOT / ".venvs" / f"eco-{project}" / ".installed").exists()
]


def test_every_project_has_a_script_and_a_script_a_project():
    scripts = {path.stem for path in (ROOT / "ecosystem").glob("use_*.py")}
    assert scripts == {f"use_{project.replace('-', '_')}" for project in driver.PROJECTS}
    assert len(IN_SUITE) > 1 and set(IN_SUITE) <= set(driver.PROJECTS)


def test_rows():
    mine = {"version": "1.2", "what": "a | b", "start": 0.5, "seconds": 1.25}
    theirs = {**mine, "start": 0.0}
    expected = r"| x | 1.2 | a \| b | passed | 1.8 (0.5 + 1.2) | 1.2 |"
    assert driver.row("x", mine, theirs) == expected
    failed = {"error": "it broke"}
    assert "failed: it broke" in driver.row("x", failed, mine)
    assert driver.row("x", failed, failed).startswith("| x | ? | ? | failed: it broke |")
    assert driver.row("x", mine, {}).endswith("| 1.8 (0.5 + 1.2) |  |")


def test_a_project_that_is_not_installed_says_what_to_do(monkeypatch):
    monkeypatch.setattr(driver, "ROOT", ROOT / "nowhere")
    found = driver.run("joblib", True, True, 10)
    assert found == {"error": "no environment; run: make .venvs/eco-joblib/.installed"}


@pytest.mark.process
@pytest.mark.parametrize("project", IN_SUITE + OTHERS)
def test_on_shoal(project):
    command = [sys.executable, str(ROOT / "ecosystem" / "run.py"), project]
    options = ["--only-shoal", "--quick", "--timeout", "50"]
    done = subprocess.run([*command, *options], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "| passed |" in done.stdout
