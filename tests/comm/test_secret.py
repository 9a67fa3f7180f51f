"""Where the cluster's secret comes from, and that nobody else can read it."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import dask
import pytest

from shoal import Security
from shoal.comm import secret
from shoal.comm.keys import keys_of
from shoal.comm.secret import Secret, cluster_secret, secret_file


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path


def test_it_is_made_at_first_use_and_kept() -> None:
    first = cluster_secret()
    assert len(first.reveal()) == 64 and cluster_secret() == first
    assert stat.S_IMODE(secret_file().stat().st_mode) == 0o600
    assert [path.name for path in secret_file().parent.iterdir()] == ["secret"]


def test_what_is_given_wins_then_configuration_then_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    environment, configuration, given = (f"{digit}123456789abcdef" * 2 for digit in "abc")
    monkeypatch.setenv("SHOAL_SECRET", environment)
    assert cluster_secret().texts == (environment,)
    with dask.config.set({"shoal.secret": configuration}):
        assert cluster_secret().texts == (configuration,)
        assert cluster_secret(given).texts == (given,)
        assert cluster_secret(f"{given} {configuration}").texts == (given, configuration)
    with dask.config.set({"shoal.secret": [given, environment]}):
        assert cluster_secret().texts == (given, environment)
    assert not secret_file().exists()


def test_it_is_never_shown() -> None:
    found = cluster_secret()
    assert found.reveal() not in repr(found) + str(found) + f"{found}" + repr({"secret": found})
    security = Security(secret=found.reveal())
    for shown in (security, security.get_connection_args("client"), keys_of(found)):
        assert found.reveal() not in repr(shown)


@pytest.mark.parametrize(
    "weak", ["", "guess", "correct horse battery staple", "0123456789abcdef", "a" * 64, "x1" * 40]
)
def test_a_weak_one_is_refused_with_the_command_that_makes_a_good_one(weak: str) -> None:
    with pytest.raises(ValueError, match="shoal secret new"):
        cluster_secret(weak)
    with pytest.raises(ValueError, match="shoal secret new"):
        Security(secret=weak)


def test_the_file_may_be_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "elsewhere" / "it"
    with dask.config.set({"shoal.secret-file": str(path)}):
        assert cluster_secret().reveal() == path.read_text().strip()


@pytest.mark.skipif(os.getuid() != 0, reason="gives files away")
def test_a_file_or_folder_of_another_user_is_refused() -> None:
    cluster_secret()
    os.chown(secret_file().parent, 12345, -1)
    with pytest.raises(PermissionError, match=r"folder .* belongs to another user \(uid 12345\)"):
        cluster_secret()
    os.chown(secret_file(), 12345, -1)
    with pytest.raises(PermissionError, match=r"belongs to another user \(uid 12345\)"):
        cluster_secret()


def test_a_folder_that_others_may_change_is_refused() -> None:
    cluster_secret()
    os.chmod(secret_file().parent, 0o770)
    with pytest.raises(PermissionError, match=r"may change the folder .*chmod go-w"):
        cluster_secret()


def test_a_home_that_cannot_be_written_names_the_variable(home: Path) -> None:
    (home / "shoal").write_text("in the way")
    with pytest.raises(OSError, match="set SHOAL_SECRET"):
        cluster_secret()


def test_folders_that_are_made_are_the_users_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home" / ".config"))
    cluster_secret()
    for folder in (tmp_path / "home", *(tmp_path / "home").rglob("*/")):
        assert stat.S_IMODE(folder.stat().st_mode) & 0o077 == 0


def test_it_can_be_taken_out_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "0123456789abcdef" * 4
    monkeypatch.setenv("SHOAL_SECRET", text)
    monkeypatch.setattr(secret, "_taken", None)
    secret.hide_environment_secret()
    assert "SHOAL_SECRET" not in os.environ and cluster_secret().texts == (text,)


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
    found: list[Secret] = []
    threads = [threading.Thread(target=lambda: found.append(cluster_secret())) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 16 and len(set(found)) == 1
