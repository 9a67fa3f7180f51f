"""Folders for what is imported or unpickled: nobody else can change them, or put others there."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from shoal._base import private_folder
from shoal._base.private_folder import fresh_folder, own_space

pytestmark = pytest.mark.skipif(not hasattr(os, "getuid"), reason="modes and users are of POSIX")


def mode(path: str | Path) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


def test_a_fresh_folder_is_new_and_private(tmp_path: Path) -> None:
    one, two = fresh_folder(str(tmp_path), "a-"), fresh_folder(str(tmp_path), "a-")
    assert one != two and mode(one) == mode(two) == 0o700


def test_one_that_others_could_change_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on file systems that know no modes."""

    def open_to_all(prefix: str, dir: str) -> str:
        path = os.path.join(dir, prefix)
        os.mkdir(path)
        os.chmod(path, 0o777)
        return path

    monkeypatch.setattr("tempfile.mkdtemp", open_to_all)
    with pytest.raises(PermissionError, match=r"0777.*--local-directory"):
        fresh_folder(str(tmp_path), "a-")
    assert list(tmp_path.iterdir()) == []


def test_a_space_that_is_ours_is_kept_and_closed_to_others(tmp_path: Path) -> None:
    space = own_space(str(tmp_path / "new"), "space")
    assert space == str(tmp_path / "new" / "space") and mode(space) == 0o700
    os.chmod(space, 0o777)
    assert own_space(str(tmp_path / "new"), "space") == space
    assert mode(space) == 0o755


def test_one_of_another_user_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = tmp_path / "space"
    theirs.mkdir(0o777)
    number = os.getuid() + 1
    monkeypatch.setattr(os, "getuid", lambda: number)
    # What this test makes belongs to the user who runs it, which is another now.
    first = own_space(str(tmp_path), "space")
    assert Path(first).parent == tmp_path and first not in (str(theirs), f"{theirs}-{number}")
    assert mode(first) == 0o700


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "space").symlink_to(tmp_path / "elsewhere")
    assert own_space(str(tmp_path), "space") == str(tmp_path / f"space-{os.getuid()}")


def test_a_place_where_everybody_may_exchange_folders_is_named_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(private_folder, "_told", set())
    for bits, told in ((0o1777, 0), (0o775, 0), (0o777, 1), (0o777, 1)):
        os.chmod(tmp_path, bits)
        own_space(str(tmp_path), "space")
        assert caplog.text.count("chmod +t") == told
    os.chmod(tmp_path, 0o700)
