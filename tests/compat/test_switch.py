"""The switch, in real processes: scripts that import `distributed`, and what their children see."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import dask
import pytest
from click.testing import CliRunner

import shoal
from shoal.cli.main import main
from shoal.cli.spec import spec
from shoal.compat.shim import distributed as shim  # by its own name it does nothing
from shoal.compat.switch import is_installed, shim_path


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder for scripts; the environment has nothing of the switch."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    return tmp_path


@pytest.fixture
def incumbent(folder, monkeypatch):
    """A package `distributed` that stands for the real one, installed."""
    package = folder / "site" / "distributed"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("__version__ = '1.2.3'\nClient = 'theirs'\nWhole = 1\n")
    (package / "worker.py").write_text("get_client = 'theirs'\n")
    info = folder / "site" / "distributed-1.2.3.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: distributed\nVersion: 1.2.3\n")
    monkeypatch.setenv("PYTHONPATH", str(folder / "site"))
    return package


def python(*arguments, check=True, **kwargs):
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], capture_output=True, text=True, **kwargs
    )
    assert not check or done.returncode == 0, done.stderr
    return done


def script(folder, text, name="script.py"):
    path = folder / name
    path.write_text(textwrap.dedent(text))
    return path


WORK = """
    import sys
    from dask.distributed import Client, LocalCluster, wait
    import distributed

    def where(x):
        import dask.distributed, distributed.worker
        worker = distributed.worker.get_worker()
        return isinstance(worker, dask.distributed.Worker) and worker.address

    cluster = LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0")
    with cluster, Client(cluster) as client:
        future = client.submit(where, 1)
        assert wait([future]).done == {future}
        assert isinstance(future, distributed.client.Future)
        assert future.result() == list(client.scheduler_info()["workers"])[0]
    print(__name__, sys.argv[1:], Client.__module__)
"""


@pytest.mark.process
def test_a_script_runs_on_shoal(folder):
    done = python("-m", "shoal", "run", script(folder, WORK), "--help", "-x", "a b")
    assert done.stdout == "__main__ ['--help', '-x', 'a b'] shoal.client.client\n"
    assert done.stderr == ""


@pytest.mark.process
def test_a_module_runs_on_shoal(folder):
    script(folder, WORK, "fish.py")
    done = python("-m", "shoal", "run", "-m", "fish", "-m")
    assert done.stdout == "__main__ ['-m'] shoal.client.client\n"


@pytest.mark.process
def test_workers_follow_their_client(folder):
    """The switch of a process reaches the workers that it starts, and nobody else."""
    text = textwrap.dedent(WORK).replace(
        "import sys\n", "import os, sys, shoal\nshoal.install_as_distributed()\n", 1
    )
    done = python(script(folder, text + "\nassert 'PYTHONPATH' not in os.environ\n"))
    assert done.stdout == "__main__ [] shoal.client.client\n"


CHILD = "import importlib.metadata as m; v = m.version('distributed'); import distributed as d; "
CHILD += "print(v, d.Client, d.__version__)"


def test_children_of_children_inherit_it(folder, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["", "/nowhere"]))
    parent = script(
        folder,
        f"""
        import os, subprocess, sys
        print(os.environ["PYTHONPATH"], flush=True)
        subprocess.run([sys.executable, "-c", '''
        import subprocess, sys
        subprocess.run([sys.executable, "-c", {CHILD!r}], check=True)
        '''.replace("        ", "")], check=True)
        """,
    )
    path, versions = python("-m", "shoal", "run", parent).stdout.splitlines()
    assert path == os.pathsep.join([shim_path(), "/nowhere"])
    assert versions.startswith(f"{dask.__version__} <class 'shoal.client.client.Client'>")
    assert versions.endswith(dask.__version__)


def test_with_the_switch_off_others_are_found(incumbent):
    off = python("-c", CHILD).stdout
    assert off == "1.2.3 theirs 1.2.3\n"
    on = python("-m", "shoal", "run", "-c", CHILD).stdout
    assert on.split()[0] == dask.__version__
    assert "shoal.client.client.Client" in on
    assert python("-c", CHILD).stdout == off
    code = "import shoal; from dask.distributed import Whole; import distributed.worker as w; "
    assert python("-c", code + "print(w.get_client)").stdout == "theirs\n"


@pytest.mark.parametrize("name", ["distributed", "dask.distributed"])
def test_it_is_refused_when_the_other_one_is_there(incumbent, name):
    done = python("-c", f"import {name}, shoal; shoal.install_as_distributed()", check=False)
    assert done.returncode == 1
    assert "distributed was imported already, from " in done.stderr
    assert str(incumbent) in done.stderr
    assert "python -m shoal run" in done.stderr


def test_it_goes_before_one_that_is_installed_but_not_imported(incumbent):
    text = """
        import dask.base, sys
        assert dask.base._distributed_available()  # dask finds the other one, and asks again
        for name in [n for n in sys.modules if n.partition(".")[0] == "distributed"]:
            del sys.modules[name]
        import shoal
        shoal.install_as_distributed()
        assert dask.base._distributed_available()
        assert dask.base._DistributedClient is shoal.Client
    """
    python("-c", textwrap.dedent(text))


IN_PROCESS = """
    import importlib, importlib.metadata, importlib.util, pickle, sys
    import dask, shoal
    from shoal.compat.switch import is_installed, uninstall

    for turn in range(2):
        path, finders = list(sys.path), list(sys.meta_path)
        shoal.install_as_distributed()
        shoal.install_as_distributed()
        assert is_installed() and len(sys.meta_path) == len(finders) + 1

        import distributed, distributed.protocol.serialize, distributed.comm.core
        import dask.distributed as again
        assert again is distributed is sys.modules["dask.distributed"] is dask.distributed
        assert distributed.comm.core is sys.modules["distributed.comm.core"]
        assert distributed.Client is shoal.Client
        # A function has the name of a module; both are what people mean.
        from distributed.protocol import serialize
        assert callable(serialize) and distributed.protocol.serialize is serialize
        assert sys.modules["distributed.protocol.serialize"].dask_serialize
        # What was not imported is an attribute all the same, as with the real one.
        assert distributed.deploy.spec.SpecCluster is distributed.SpecCluster
        assert importlib.metadata.version("distributed") == dask.__version__
        assert importlib.util.find_spec("distributed.worker").name == "distributed.worker"
        assert pickle.loads(pickle.dumps(distributed.worker)) is distributed.worker
        assert "Client" in dir(distributed) and "client" in dir(distributed)
        for bad in ("import distributed.fish", "from distributed import fish"):
            try:
                exec(bad)
            except ImportError as error:
                assert "fish" in str(error)
            else:
                raise AssertionError(bad)

        uninstall()
        uninstall()
        assert not is_installed() and sys.path == path and sys.meta_path == finders
        assert not [n for n in sys.modules if n.partition(".")[0] == "distributed"]
        assert "distributed" not in vars(dask)
        try:
            importlib.import_module("distributed")
        except ModuleNotFoundError:
            pass
        else:
            raise AssertionError("it is still there")
"""


def test_on_and_off_in_one_process(folder):
    python("-c", textwrap.dedent(IN_PROCESS))


def test_star_import_gives_all_names(folder):
    code = "from dask.distributed import *; from distributed.utils import *; print(Client, sync)"
    assert "shoal.client" in python("-m", "shoal", "run", "-c", code).stdout


def test_importing_it_brings_the_configuration_and_not_everything(folder):
    code = """
        import sys, distributed, dask
        assert dask.config.get("distributed.scheduler.allowed-failures") == 3
        loaded = {name for name in sys.modules if name.startswith("shoal.")}
        assert not loaded & {"shoal.client.client", "shoal.worker.worker", "shoal.deploy.local"}
        from dask.distributed import Client
        assert "shoal.worker.worker" not in sys.modules
    """
    python("-m", "shoal", "run", "-c", textwrap.dedent(code))


def test_commands_of_old_are_programs(folder):
    env = {**os.environ, "PYTHONPATH": shim_path()}
    for name in ("worker", "scheduler"):
        said = python("-m", f"distributed.cli.dask_{name}", "--help", env=env).stdout
        assert said.startswith(f"Usage: shoal {name} ")


def test_exit_code_and_usage(folder, capsys):
    done = python("-m", "shoal", "run", "-c", "import sys; sys.exit(7)", check=False)
    assert done.returncode == 7
    for arguments, words in [([], "say what to run"), (["-I", "x.py"], "PYTHONPATH")]:
        with pytest.raises(SystemExit) as caught:
            main(["run", *arguments])
        assert caught.value.code == 2
        assert words in capsys.readouterr().err


def test_the_folder_is_printed(folder, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["shim-path"])
        raise SystemExit(0)  # when the command just returns
    assert caught.value.code == 0
    path = capsys.readouterr().out
    assert path == shim_path() + "\n"
    assert {p.name for p in Path(shim_path()).iterdir() if p.name != "__pycache__"} == {
        "__init__.py",
        "distributed",
        "distributed.dist-info",
    }
    code = "import sys; sys.path.insert(0, sys.argv[1]); import distributed as d; print(d.Client)"
    assert "shoal" in python("-c", code, path.strip()).stdout


def test_an_interpreter_without_shoal_is_told(folder):
    code = "import sys; sys.modules['shoal'] = None; import distributed"
    done = python("-c", code, check=False, env={**os.environ, "PYTHONPATH": shim_path()})
    assert "which has no shoal; install it there" in done.stderr


def test_the_written_version_is_one_that_libraries_accept():
    """The file counts in processes that ask for the version before they import anything."""
    text = (Path(shim_path()) / "distributed.dist-info" / "METADATA").read_text()
    (written,) = [w.split()[1] for w in text.splitlines() if w.startswith("Version:")]
    assert tuple(map(int, written.split("."))) >= (2026, 1)


def test_this_process_is_not_touched():
    assert shim.__name__ == "shoal.compat.shim.distributed"
    assert not is_installed()
    assert "distributed" not in sys.modules
    assert shoal.install_as_distributed.__doc__


def test_local_clusters_talk_over_tcp(folder):
    path = script(
        folder,
        """
        from dask.distributed import LocalCluster

        if __name__ == "__main__":
            with LocalCluster(n_workers=1, threads_per_worker=1) as cluster:
                print(cluster.scheduler_address)
            with LocalCluster(n_workers=0, protocol="ipc") as cluster:
                print(cluster.scheduler_address)
        """,
    )
    out = python("-m", "shoal", "run", path).stdout.split()
    assert out[0].startswith("tcp://127.0.0.1:")
    assert out[1].startswith("ipc://")


def test_modules_below_the_name_that_dask_gives_it(folder):
    text = """
        import shoal; shoal.install_as_distributed()
        from dask.distributed.protocol import dumps
        from dask.distributed.deploy.local import LocalCluster
        import distributed.protocol
        assert dumps is distributed.protocol.dumps
        assert LocalCluster is distributed.LocalCluster
        """
    python(script(folder, text))


@pytest.mark.process
def test_workers_are_daemons_under_the_name_as_configured(folder):
    text = """
        import sys, multiprocessing
        import dask, shoal
        shoal.install_as_distributed()
        from dask.distributed import Client

        def is_daemon():
            return multiprocessing.current_process().daemon

        if __name__ == "__main__":
            for daemon in (True, False):
                with dask.config.set({"distributed.worker.daemon": daemon}):
                    with Client(n_workers=1, dashboard_address=None) as client:
                        assert client.submit(is_daemon).result(20) is daemon
        """
    python(script(folder, text))


@pytest.mark.parametrize("command", ["scheduler", "worker", "spec"])
def test_commands_of_dask(command):
    """Found by the metadata in the shim's folder, as `dask` looks for them."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([shim_path(), *sys.path])}
    done = python("-m", "dask", command, "--help", env=env)
    assert "Usage: dask" in done.stdout or f"{command} [OPTIONS]" in done.stdout


def test_what_is_no_specification_is_told():
    for wrong in ([], ["--spec", "{}"], ["--spec", "{"], ["--spec", '{"a": {"opts": {}}}']):
        done = CliRunner().invoke(spec, wrong)
        assert done.exit_code == 2, done.output


@pytest.mark.process
def test_modules_with_routes_find_what_handlers_derive_from(folder):
    code = """
        from distributed.http.utils import RequestHandler
        print(RequestHandler.__module__)
    """
    done = python("-m", "shoal", "run", script(folder, code))
    assert done.stdout == "shoal.http.user_routes\n"
