"""The floors of requirements exclude versions with published advisories: `audit/`."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from typing import Any

import pytest
from helpers import ROOT

PROGRAM = ROOT / "audit" / "check.py"


@pytest.fixture
def check() -> Any:
    spec = importlib.util.spec_from_file_location("audit_check", PROGRAM)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_no_floor_lets_a_version_in_that_an_advisory_is_about(check: Any) -> None:
    known = check.advisories()
    floors = check.floors()
    assert check.affected(floors, known) == []
    assert {"tornado", "cryptography", "asyncssh", "dask"} <= set(floors)
    assert [name for name in known if not floors.get(name)] == []  # each has a floor


def test_a_floor_that_is_too_low_is_named(check: Any) -> None:
    known = {"tornado": [{"id": "CVE-1", "fixed": "6.5"}]}
    for version in ("", "6.4.2", "6"):
        (told,) = check.affected({"tornado": version}, known)
        assert "CVE-1, mended in 6.5" in told
    for version in ("6.5", "6.5.0", "6.10", "7"):
        assert check.affected({"tornado": version, "other": "1"}, known) == []


def test_the_program_says_what_is_wrong_by_its_exit_code() -> None:
    done = subprocess.run([sys.executable, str(PROGRAM)], capture_output=True, text=True)
    assert done.returncode == 0 and "0 problems" in done.stdout
