"""Folders of workers: private, and swept when their worker is no more."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import dask
import pytest

from shoal.worker.directory import make_directory, scratch_space


def _dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_folders_are_private_and_where_they_were_asked_for(tmp_path: Path) -> None:
    path = make_directory(str(tmp_path / "new"))
    space = tmp_path / "new" / "dask-scratch-space"
    assert Path(path).parent == space
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o700
    assert Path(make_directory(str(space))).parent == space  # not one in the other
    with dask.config.set({"temporary-directory": str(tmp_path)}):
        assert Path(make_directory()).parent == tmp_path / "dask-scratch-space"


def test_the_space_of_a_user_in_a_shared_folder_is_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with dask.config.set({"temporary-directory": None}):
        space = Path(scratch_space())
        assert space.parent == tmp_path and space.name.startswith("dask-scratch-space")
        assert stat.S_IMODE(os.stat(space).st_mode) == 0o700
        if hasattr(os, "getuid"):
            space.rmdir()
            space.symlink_to(tmp_path)  # somebody was faster
            assert Path(scratch_space()) not in (space, tmp_path)


def test_what_dead_workers_left_is_swept_and_nothing_else(tmp_path: Path) -> None:
    mine = Path(make_directory(str(tmp_path)))
    space = mine.parent
    dead = space / mine.name.replace(f"-{os.getpid()}-", f"-{_dead_pid()}-")
    foreign = space / dead.name.replace("worker-", "worker-otherhost")
    for folder in (dead, foreign, space / "worker-unlike"):
        folder.mkdir()
        (folder / "file").write_text("x")
    make_directory(str(tmp_path))
    assert not dead.exists()
    assert mine.exists() and foreign.exists() and (space / "worker-unlike").exists()
