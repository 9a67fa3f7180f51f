"""The command `shoal secret`."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from shoal.cli.secret import secret
from shoal.comm.keys import keys_of
from shoal.comm.secret import Secret, cluster_secret, secret_file


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("SHOAL_SECRET", raising=False)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(secret, list(arguments))


def test_new_prints_one_and_changes_nothing() -> None:
    first, second = run("new").stdout.strip(), run("new").stdout.strip()
    assert first != second and len(Secret([first]).reveal()) == 64
    assert not secret_file().exists()


def test_rotate_puts_a_new_one_first_and_finish_drops_the_old_ones() -> None:
    old = run("show").stdout.split()
    assert run("rotate").exit_code == 0
    new, *rest = run("show").stdout.split()
    assert rest == old != [new] and cluster_secret().texts == (new, *old)
    assert stat.S_IMODE(secret_file().stat().st_mode) == 0o600
    assert run("rotate", "--finish").exit_code == 0
    assert run("show").stdout.split() == [new]
    assert [path.name for path in secret_file().parent.iterdir()] == ["secret"]


def test_rotate_says_where_else_the_secret_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOAL_SECRET", "0123456789abcdef" * 2)
    done = run("rotate")
    assert done.exit_code == 1 and "put a new one" in done.output
    assert run("show").stdout.strip() == "0123456789abcdef" * 2


@pytest.mark.parametrize("role", ["client", "worker"])
def test_export_prints_a_secret_of_one_role(role: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = cluster_secret().reveal()
    text = run("export", "--role", role).stdout.strip()
    assert whole not in text and set(keys_of(Secret([text]))[0].seeds) == {role}
    monkeypatch.setenv("SHOAL_SECRET", text)
    done = run("export", "--role", role)
    assert done.exit_code == 1 and "the secret of a role already" in done.output


def test_a_weak_secret_is_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOAL_SECRET", "guess")
    for arguments in (["show"], ["export", "--role", "client"]):
        done = run(*arguments)
        assert done.exit_code == 1 and "shoal secret new" in done.output
