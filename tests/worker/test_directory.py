"""Folders of workers: private, and swept when their worker is no more."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import dask

from shoal.worker.directory import make_directory


def _dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_folders_are_private_and_where_they_were_asked_for(tmp_path: Path) -> None:
    path = make_directory(str(tmp_path / "new"))
    assert Path(path).parent == tmp_path / "new"
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o700
    with dask.config.set({"temporary-directory": str(tmp_path)}):
        assert Path(make_directory()).parent == tmp_path


def test_what_dead_workers_left_is_swept_and_nothing_else(tmp_path: Path) -> None:
    mine = Path(make_directory(str(tmp_path)))
    dead = tmp_path / mine.name.replace(f"-{os.getpid()}-", f"-{_dead_pid()}-")
    foreign = tmp_path / dead.name.replace("shoal-worker-", "shoal-worker-otherhost")
    for folder in (dead, foreign, tmp_path / "shoal-worker-unlike"):
        folder.mkdir()
        (folder / "file").write_text("x")
    make_directory(str(tmp_path))
    assert not dead.exists()
    assert mine.exists() and foreign.exists() and (tmp_path / "shoal-worker-unlike").exists()
