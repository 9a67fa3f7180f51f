"""The local project on workers: what belongs to it, packed the same each time, unpacked once."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import zipfile
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from helpers import run

from shoal import Client, Scheduler, Worker
from shoal.client.admin import project
from shoal.plugins.builtin import environment
from shoal.plugins.builtin.environment import ProjectEnvironment


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder, in which the program runs."""
    monkeypatch.setattr(project, "_imported", lambda: iter(()))
    monkeypatch.setattr(project, "_editable", lambda: iter(()))
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "settings_of_p.py").write_text("VALUE = 1\n")
    (tmp_path / "library_of_p" / "__pycache__").mkdir(parents=True)
    (tmp_path / "library_of_p" / "__init__.py").write_text("from settings_of_p import VALUE\n")
    (tmp_path / "library_of_p" / "data.txt").write_text("data")
    (tmp_path / "library_of_p" / "__pycache__" / "x.pyc").write_text("")
    (tmp_path / "data").mkdir()
    (tmp_path / "setup.py").write_text("")
    return tmp_path


def test_modules_beside_the_program_are_the_projects_own(folder: Path) -> None:
    assert sorted(project.project_modules(folder)) == ["library_of_p", "settings_of_p"]


def test_the_same_code_is_the_same_archive(folder: Path) -> None:
    first = project.find_project(folder, locked=False)
    os.utime(folder / "settings_of_p.py", (1, 1))
    again = project.find_project(folder, locked=False)
    assert (first.archive, first.digest) == (again.archive, again.digest)
    names = zipfile.ZipFile(BytesIO(first.archive)).namelist()
    assert names == ["library_of_p/__init__.py", "library_of_p/data.txt", "settings_of_p.py"]
    (folder / "settings_of_p.py").write_text("VALUE = 2\n")
    assert project.find_project(folder, locked=False).digest != first.digest


def test_too_much_code_is_refused_and_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(project, "_MOST", 40)
    (folder / "library_of_p" / "data.txt").write_text("d" * 50)
    with pytest.raises(ValueError, match="largest is 'library_of_p'"):
        project.find_project(folder, locked=False)


def test_imported_modules_count_unless_they_are_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(project, "_editable", lambda: iter(()))
    module = ModuleType("elsewhere_of_p")
    module.__file__ = str(tmp_path / "elsewhere_of_p.py")
    Path(module.__file__).write_text("")
    monkeypatch.setitem(sys.modules, "elsewhere_of_p", module)
    found = project.project_modules(tmp_path / "no such folder")
    assert found["elsewhere_of_p"] == tmp_path / "elsewhere_of_p.py"
    assert not {"pytest", "json", "dask", "shoal", "_pytest"} & set(found)


def test_editable_installs_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(project, "_imported", lambda: iter(()))
    (tmp_path / "edited_of_p").mkdir()
    (tmp_path / "edited_of_p" / "__init__.py").write_text("")
    info = tmp_path / "edited_of_p-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: edited-of-p\nVersion: 1.0\n")
    (info / "direct_url.json").write_text('{"dir_info": {"editable": true}, "url": "file:///x"}')
    monkeypatch.syspath_prepend(str(tmp_path))
    found = project.project_modules(tmp_path / "no such folder")
    assert found == {"edited_of_p": tmp_path / "edited_of_p"}


def test_workers_unpack_once_and_import_what_is_new(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setattr(sys, "path", list(sys.path))
    plugin = project.find_project(folder, locked=False)
    stale = ModuleType("settings_of_p")
    monkeypatch.setitem(sys.modules, "settings_of_p", stale)
    made: list[Path] = []
    unpack = ProjectEnvironment._unpack

    def count(self: ProjectEnvironment, to: Path) -> None:
        made.append(to)
        unpack(self, to)

    monkeypatch.setattr(ProjectEnvironment, "_unpack", count)
    for _ in range(3):
        plugin.setup(None)
    assert len(made) == 1
    assert "settings_of_p" not in sys.modules
    import settings_of_p

    assert str(cache) in settings_of_p.__file__
    assert [each.name for each in (cache / "shoal" / "environments").iterdir()] == [plugin.digest]
    plugin.teardown(None)
    assert not any(str(cache) in each for each in sys.path)
    monkeypatch.delitem(sys.modules, "settings_of_p")


def test_an_interrupted_unpacking_leaves_nothing(tmp_path: Path) -> None:
    def fails(folder: Path) -> None:
        (folder / "half").write_text("")
        raise ValueError("disk")

    with pytest.raises(ValueError, match="disk"):
        environment.made_once(tmp_path / "whole", fails)
    assert list(tmp_path.iterdir()) == []


def test_locked_packages_that_are_missing_or_differ_are_installed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "shoal")
    here = environment.metadata.version("pytest")
    lines = (
        f"pytest=={here}\nno-such-package==1.0 ; python_version > '3'\npsutil==0.1\nzstandard==0.1"
    )
    monkeypatch.delitem(sys.modules, "zstandard", raising=False)
    wanted = environment.lacking(lines)
    assert "no-such-package==1.0 ; python_version > '3'" in wanted
    assert not any(line.startswith(("pytest", "psutil")) for line in wanted)
    assert "psutil" in caplog.text and "is in use here" in caplog.text


def test_what_uv_locks_is_asked_of_uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert project.locked_requirements(tmp_path) is None
    (tmp_path / "uv.lock").write_text("")
    asked: list[Any] = []

    def ran(command: list[str], **kwargs: Any) -> Any:
        asked.append((command[1], kwargs["cwd"]))
        return subprocess.CompletedProcess(command, 0, "# made by uv\n-e .\nidna==3.10\n", "")

    monkeypatch.setattr(project.shutil, "which", lambda name: "/bin/uv")
    monkeypatch.setattr(project.subprocess, "run", ran)
    (tmp_path / "inner").mkdir()
    assert project.locked_requirements(tmp_path / "inner") == "idna==3.10"
    assert asked == [("export", tmp_path)]


def test_a_client_brings_its_project_and_says_what_differs(
    folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(project, "program_folder", lambda: folder)
    caplog.set_level(logging.WARNING, "shoal")

    async def main() -> None:
        async with (
            Scheduler(protocol="inproc", dashboard=False) as scheduler,
            Worker(scheduler.address, nthreads=1) as worker,
            Client(scheduler.address, asynchronous=True, environment="auto") as client,
        ):
            plugin = worker.plugins["project-environment"]
            assert plugin.modules == ["library_of_p", "settings_of_p"]
            assert await client.submit(_value_of_library) == 1
            real = project.metadata.version
            monkeypatch.setattr(
                environment.metadata, "version", lambda n: "0.1" if n == "pytest" else real(n)
            )
            told = await client.upload_environment()
            ((_, packages),) = told["differ"].items()
            assert packages["pytest"][1] == "0.1"

    run(main())
    assert "pytest" in caplog.text and "0.1 there" in caplog.text
    for name in ("library_of_p", "settings_of_p"):
        sys.modules.pop(name, None)


def _value_of_library() -> int:
    import library_of_p

    return library_of_p.VALUE


def test_another_word_than_auto_is_refused() -> None:
    with pytest.raises(ValueError, match="environment= is 'auto'"):
        Client("tcp://127.0.0.1:1", environment="always")
