"""The folder of a cluster: private, short, and never left behind."""

from __future__ import annotations

import os
import stat
import tempfile
import time

import pytest

from shoal.deploy.folder import ClusterFolder

pytestmark = pytest.mark.skipif(os.name != "posix", reason="Unix sockets")


@pytest.fixture
def tmp(monkeypatch):
    with tempfile.TemporaryDirectory(prefix="f-", dir="/tmp") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield folder


def test_private_and_removed(tmp):
    folder = ClusterFolder()
    assert os.path.dirname(folder.path) == tmp
    assert stat.S_IMODE(os.stat(folder.path).st_mode) == 0o700
    assert folder.socket_path("x") == folder.path + "/x"
    folder.remove()
    assert os.listdir(tmp) == []
    folder.remove()


def test_a_long_temporary_folder_is_not_used(tmp, monkeypatch):
    long = os.path.join(tmp, "x" * 90)
    os.mkdir(long)
    monkeypatch.setattr(tempfile, "tempdir", long)
    folder = ClusterFolder()
    try:
        assert os.path.dirname(folder.path) == "/tmp"
        assert os.listdir(long) == []
    finally:
        folder.remove()


def test_folders_of_killed_clusters_are_swept_and_no_others(tmp):
    alive, dead = ClusterFolder(), ClusterFolder()
    os.close(dead._lock)  # as the kernel does when a process is killed
    dead._lock = -1
    other = os.path.join(tmp, "shoal-data")
    os.mkdir(other)
    ClusterFolder().remove()
    assert os.path.exists(dead.path)  # so young that it may not have been locked yet
    old = time.time() - 120
    for folder in (alive, dead):
        os.utime(os.path.join(folder.path, "lock"), (old, old))
    ClusterFolder().remove()
    assert not os.path.exists(dead.path)
    assert os.path.exists(alive.path)
    assert os.path.exists(other)
    alive.remove()
