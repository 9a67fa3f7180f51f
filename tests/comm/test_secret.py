"""Where the cluster's secret comes from, and that nobody else can read it."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import dask
import pytest

from shoal.comm.secret import cluster_secret, secret_file


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path


def test_it_is_made_at_first_use_and_kept() -> None:
    first = cluster_secret()
    assert len(first) == 64 and cluster_secret() == first
    assert stat.S_IMODE(secret_file().stat().st_mode) == 0o600
    assert [path.name for path in secret_file().parent.iterdir()] == ["secret"]


def test_what_is_given_wins_then_configuration_then_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SHOAL_SECRET", "environment")
    assert cluster_secret() == b"environment"
    with dask.config.set({"shoal.secret": "configuration"}):
        assert cluster_secret() == b"configuration"
        assert cluster_secret("given") == b"given"
    assert not secret_file().exists()


def test_a_file_that_others_may_read_is_refused() -> None:
    cluster_secret()
    os.chmod(secret_file(), 0o644)
    with pytest.raises(PermissionError, match=r"mode 0644\); run 'chmod 600 "):
        cluster_secret()


def test_an_empty_file_is_named() -> None:
    cluster_secret()
    secret_file().write_text("")
    with pytest.raises(ValueError, match="is empty; remove it"):
        cluster_secret()


def test_many_at_once_agree() -> None:
    found: list[bytes] = []
    threads = [threading.Thread(target=lambda: found.append(cluster_secret())) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 16 and len(set(found)) == 1
