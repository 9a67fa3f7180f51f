"""A worker's control group, in a tree of plain files."""

from __future__ import annotations

from pathlib import Path

import pytest

from shoal.nanny.cgroup import WorkerGroup


@pytest.fixture
def tree(tmp_path: Path) -> tuple[Path, Path]:
    root, own = tmp_path / "cgroup", tmp_path / "own"
    (root / "user" / "session").mkdir(parents=True)
    (root / "user" / "cgroup.subtree_control").write_text("cpu memory pids\n")
    own.write_text("3:cpuset:/\n0::/user/session\n")
    return root, own


def test_a_process_gets_a_group_beside_this_one(tree: tuple[Path, Path]) -> None:
    root, own = tree
    group = WorkerGroup.make(42, 1000, root=root, own=own, privileged=False)
    assert group.path == root / "user" / "shoal-worker-42"
    assert (group.path / "memory.max").read_text() == "1000"
    assert (group.path / "cgroup.procs").read_text() == "42"
    assert (group.path / "memory.oom.group").read_text() == "1"
    assert group.reason == ""
    group.remove()  # a real group has no files of its own; one that is not empty stays
    assert group.path is None


@pytest.mark.parametrize(
    ("own_text", "control", "why"),
    [
        ("0::/user/session", "cpu", "cannot have memory limits"),
        ("0::/", "memory", "in the root of its control groups"),
        ("5:memory:/", "memory", "no control groups of version 2"),
        ("0::/nowhere/at/all", "memory", "No such file"),
    ],
)
def test_where_there_is_none_it_says_why(
    tree: tuple[Path, Path], own_text: str, control: str, why: str
) -> None:
    root, own = tree
    own.write_text(own_text)
    (root / "user" / "cgroup.subtree_control").write_text(control)
    group = WorkerGroup.make(42, 1000, root=root, own=own, privileged=False)
    assert group.path is None and why in group.reason
    group.remove()


def test_a_group_that_takes_no_process_is_taken_away(tree: tuple[Path, Path]) -> None:
    root, own = tree
    (root / "user" / "shoal-worker-42").mkdir()
    group = WorkerGroup.make(42, 1000, root=root, own=own, privileged=False)
    assert group.path is None and "File exists" in group.reason


def test_root_leaves_alone_what_was_not_delegated(tree: tuple[Path, Path]) -> None:
    root, own = tree
    group = WorkerGroup.make(42, 1000, root=root, own=own, privileged=True)
    assert group.path is None and "did not delegate" in group.reason
