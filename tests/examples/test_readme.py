"""The README's example prints what the README says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).resolve().parents[2] / "README.md"


@pytest.mark.process
def test_the_example_prints_what_is_said(tmp_path: Path) -> None:
    _, _, rest = README.read_text(encoding="utf-8").partition("```python\n")
    program, _, rest = rest.partition("```\n")
    output, _, _ = rest.partition("```\n")[2].partition("```\n")
    script = tmp_path / "example.py"
    script.write_text(program, encoding="utf-8")
    ran = subprocess.run(
        [sys.executable, "-W", "ignore:Port 8787 is already in use", str(script)],
        capture_output=True,
        text=True,
        timeout=50,
        cwd=tmp_path,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == output
    assert ran.stderr == ""
