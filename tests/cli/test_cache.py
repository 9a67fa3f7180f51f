"""`shoal cache`: what is there, some of it dropped, damage found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from shoal import Store
from shoal.cli.main import cli


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["cache", *map(str, arguments)])


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "kept", version="7")
    store.put("aa", 1, "one")
    store.put("bb", np.arange(10_000), "two")
    store.flush()
    return store


def test_ls(store: Store) -> None:
    found = run("ls", store.url)
    assert found.exit_code == 0
    assert "aa" in found.output and "two" in found.output and "version 7" in found.output
    assert "aa" not in run("ls", store.url, "--function", "two").output
    assert "two  1 results" in run("ls", store.url, "--summary").output


def test_rm(store: Store) -> None:
    assert "dropped 1" in run("rm", store.url, "aa").output
    assert "dropped 0" in run("rm", store.url, "--older", "1 hour").output
    assert "dropped 1" in run("rm", store.url, "--function", "two").output
    assert "dropped 0" in run("rm", store.url, "--all").output
    assert run("rm", store.url).exit_code == 2
    assert run("rm", store.url, "--older", "soon").exit_code == 2


def test_verify(store: Store) -> None:
    assert run("verify", store.url).exit_code == 0
    path = Path(store.url) / "objects" / "bb" / "bb"
    path.write_bytes(path.read_bytes()[:-5])
    found = run("verify", store.url)
    assert found.exit_code == 1 and "objects/bb/bb" in found.output
    assert run("verify", store.url, "--remove").exit_code == 0
    assert run("verify", store.url).exit_code == 0
