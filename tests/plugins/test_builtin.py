"""The ready-made plugins: files, folders, packages, environment variables."""

from __future__ import annotations

import importlib
import importlib.util
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers import run, until

from shoal import (
    Client,
    CondaInstall,
    Environ,
    LocalCluster,
    Nanny,
    NannyPlugin,
    PipInstall,
    Scheduler,
    UploadDirectory,
    UploadFile,
    Worker,
)


@pytest.fixture(autouse=True)
def _clean_modules() -> Iterator[None]:
    before, path = set(sys.modules), list(sys.path)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("uploaded"):
            del sys.modules[name]
    assert sys.path == path, "teardown left something on the path"


def answer_of(name: str) -> Any:
    return importlib.import_module(name).answer()


def test_upload_file(tmp_path: Path) -> None:
    source = tmp_path / "uploaded_one.py"

    async def main() -> None:
        async with (
            Scheduler(protocol="inproc") as s,
            Worker(s.address, nthreads=1) as a,
            Client(s.address, asynchronous=True, set_as_default=False) as client,
        ):
            source.write_text("def answer(): return 1\n")
            await client.upload_file(str(source))
            assert (Path(a.local_directory) / "uploaded_one.py").exists()
            assert await client.submit(answer_of, "uploaded_one", pure=False) == 1
            source.write_text("def answer(): return 2\n")  # as long, and perhaps in the same second
            await client.upload_file(str(source))
            assert await client.submit(answer_of, "uploaded_one", pure=False) == 2
            async with Worker(s.address, nthreads=1) as late:
                assert (Path(late.local_directory) / "uploaded_one.py").exists()
            data = tmp_path / "table.csv"
            data.write_text("1,2")
            await client.register_plugin(UploadFile(data))
            assert (Path(a.local_directory) / "table.csv").read_text() == "1,2"
            source.write_text("1 +")
            with pytest.raises(SyntaxError):
                await client.upload_file(str(source))
            with pytest.raises(FileNotFoundError, match=r"no file .nowhere\.py. to upload"):
                await client.upload_file("nowhere.py")

    run(main())


@pytest.mark.parametrize("kind", ["zip", "egg"])
def test_upload_archive(tmp_path: Path, kind: str) -> None:
    archive = tmp_path / f"bundle-{kind}.{kind}"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr(f"uploaded_{kind}/__init__.py", "from .inner import answer\n")
        file.writestr(f"uploaded_{kind}/inner.py", f"def answer(): return {kind!r}\n")

    async def main() -> None:
        async with (
            Scheduler(protocol="inproc") as s,
            Worker(s.address, nthreads=1),
            Client(s.address, asynchronous=True, set_as_default=False) as client,
        ):
            await client.upload_file(archive)
            assert await client.submit(answer_of, f"uploaded_{kind}") == kind

    run(main())


def test_install_runs_the_command_once_per_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = PipInstall(["ape", "bear"], pip_options=["--upgrade"])
    assert plugin.command() == [sys.executable, "-m", "pip", "install", "--upgrade", "ape", "bear"]
    assert plugin.name == PipInstall(["bear", "ape"], pip_options=["--upgrade"]).name
    assert plugin.name != PipInstall(["bear"], pip_options=["--upgrade"]).name
    with pytest.raises(ValueError, match="must be a list of requirements, got 'ape'"):
        PipInstall("ape")

    async def main() -> None:
        async with (
            Scheduler(protocol="inproc") as s,
            Worker(s.address, nthreads=1),
            Client(s.address, asynchronous=True, set_as_default=False) as client,
        ):
            monkeypatch.setattr(PipInstall, "command", lambda self: ["/bin/sh", "-c", "exit 0"])
            await client.register_plugin(PipInstall(["ape"]))
            assert [*s.plugins] == [*s.worker_plugins] == [PipInstall(["ape"]).name]
            await client.unregister_scheduler_plugin(PipInstall(["ape"]).name)
            assert not s.plugins and not s.worker_plugins
            failing = ["/bin/sh", "-c", "echo No matching ape >&2; exit 3"]
            monkeypatch.setattr(PipInstall, "command", lambda self: failing)
            with pytest.raises(RuntimeError, match=r"failed with code 3:\nNo matching ape"):
                await client.register_plugin(PipInstall(["ape"], restart_workers=True))

    run(main())


WHEEL = """
import sys, zipfile
with zipfile.ZipFile(sys.argv[1], "w") as wheel:
    info = "tinylake-1.0.dist-info"
    wheel.writestr("tinylake.py", "answer = 42")
    wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\\nName: tinylake\\nVersion: 1.0\\n")
    tags = "Root-Is-Purelib: true\\nTag: py3-none-any\\n"
    wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\n" + tags)
    names = wheel.namelist()
    wheel.writestr(f"{info}/RECORD", "".join(f"{name},,\\n" for name in names))
"""

INSTALL = """
import os, sys
from shoal import Client, PipInstall

def use():
    import tinylake
    return tinylake.answer, tinylake.__file__.startswith(sys.prefix), os.getpid()

if __name__ == "__main__":
    with Client(n_workers=1, threads_per_worker=1, dashboard_address=None) as client:
        (before,) = client.run(os.getpid).values()
        try:
            client.submit(use).result()
        except ModuleNotFoundError as error:
            print(error)
        options = ["--no-index", "--no-deps", "--quiet", "--disable-pip-version-check"]
        client.register_plugin(PipInstall([sys.argv[1]], options, restart_workers=True))
        while True:
            answer, inside, pid = client.submit(use, pure=False).result()
            if pid != before:
                break
        print(answer, inside)
"""


@pytest.mark.process
@pytest.mark.timeout(120)
def test_pip_installs_a_wheel(tmp_path: Path) -> None:
    """In an environment of its own, which sees the packages of this one."""
    environment, wheel = tmp_path / "env", tmp_path / "tinylake-1.0-py3-none-any.whl"
    venv.create(environment, with_pip=False, symlinks=os.name != "nt")
    folder = "Scripts" if os.name == "nt" else "bin"
    python = environment / folder / "python"
    inside = subprocess.check_output(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True
    )
    link = f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})"
    (Path(inside.strip()) / "others.pth").write_text(link)
    subprocess.run([python, "-c", WHEEL, wheel], check=True)
    script = tmp_path / "script.py"
    script.write_text(INSTALL)
    done = subprocess.run([python, script, wheel], capture_output=True, text=True, timeout=100)
    assert done.stdout == "No module named 'tinylake'\n42 True\n", done.stderr
    assert importlib.util.find_spec("tinylake") is None  # not in this environment


def test_conda_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CONDA_EXE", "/opt/conda")
    command = CondaInstall(["ape"], conda_options=["-c", "conda-forge"]).command()
    assert command[:3] == ["/opt/conda", "install", "--yes"]
    assert command[-3:] == ["-c", "conda-forge", "ape"]
    monkeypatch.delenv("CONDA_EXE")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match="needs conda on the workers"):
        CondaInstall(["ape"]).command()


class Marker(NannyPlugin):
    name = "marker"

    def __init__(self, path: str) -> None:
        self.path = path

    def setup(self, nanny: Nanny) -> None:
        with open(self.path, "a") as file:
            file.write("setup ")

    def teardown(self, nanny: Nanny) -> None:
        with open(self.path, "a") as file:
            file.write("teardown ")


@pytest.mark.process
def test_nanny_plugins(tmp_path: Path) -> None:
    code = tmp_path / "uploaded_code"
    code.mkdir()
    (code / "__init__.py").write_text("def answer(): return 5\n")
    (code / "skipped.pyc").write_text("")
    marks = tmp_path / "marks"

    async def main() -> None:
        async with (
            LocalCluster(
                n_workers=1, threads_per_worker=1, asynchronous=True, dashboard_address=None
            ) as cluster,
            Client(cluster, asynchronous=True, set_as_default=False) as client,
        ):
            (pid,) = (await client.run(os.getpid)).values()
            answers = await client.register_plugin(Marker(str(marks)))
            assert [a["status"] for a in answers.values()] == ["OK"]
            assert list((await client.run(os.getpid)).values()) == [pid]  # no restart was asked for
            await client.register_plugin(Environ({"SHOAL_TEST_ENVIRON": 7}))
            await until(lambda: client.nthreads())
            assert list((await client.run(os.getpid)).values()) != [pid]
            assert list((await client.run(os.getenv, "SHOAL_TEST_ENVIRON")).values()) == ["7"]
            await client.register_plugin(UploadDirectory(code, restart=True, update_path=True))
            assert await client.submit(answer_of, "uploaded_code") == 5
            cluster.scale(2)
            await client.wait_for_workers(2)
            found = await client.run(os.getenv, "SHOAL_TEST_ENVIRON")
            assert list(found.values()) == ["7", "7"]
            await client.unregister_worker_plugin("marker", nanny=True)
        assert marks.read_text() == "setup setup teardown teardown "

    run(main(), timeout=50)


def test_bad_folders_are_named() -> None:
    with pytest.raises(NotADirectoryError, match="no folder '/nowhere' to upload"):
        UploadDirectory("/nowhere")


def test_environ_gives_back_what_was_there() -> None:
    class Fake:
        env = {"A": "1"}

    plugin = Environ({"A": 2, "B": 3})
    plugin.setup(Fake)  # type: ignore[arg-type]
    assert Fake.env == {"A": "2", "B": "3"}
    plugin.teardown(Fake)  # type: ignore[arg-type]
    assert Fake.env == {"A": "1"}
