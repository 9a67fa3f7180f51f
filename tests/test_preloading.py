"""Preloads: what can be one, in which order it is called, and what is said of a bad one."""

from __future__ import annotations

import http.server
import sys
import threading

import click
import dask.config
import pytest
from click.testing import CliRunner
from helpers import run, until

from shoal import Client, Nanny, Scheduler, Worker
from shoal.preloading import Preloads, load, validate_preload_argv

SCRIPT = """
def dask_setup(service):
    service.append("up NAME")

async def dask_teardown(service):
    service.append("down NAME")
"""

COMMAND = """
import click

@click.command()
@click.option("--count", type=int, default=1)
@click.argument("words", nargs=-1)
async def dask_setup(service, count, words):
    service.append((count, words))
"""


@pytest.fixture(autouse=True)
def _modules(monkeypatch, tmp_path):
    before = dict(sys.modules)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    for name in set(sys.modules) - set(before):
        if name.startswith("pre_"):
            del sys.modules[name]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "pre_file.py"
    path.write_text(SCRIPT.replace("NAME", "file"))
    return path


def used(preload, argv=()):
    """Start and stop with preloads; return what they did."""
    done = []

    async def main():
        preloads = Preloads(done, preload, argv)
        await preloads.start()
        done.append("running")
        await preloads.teardown()

    run(main())
    return done


def test_a_file_and_tasks_can_import_it(file):
    assert used(str(file)) == ["up file", "running", "down file"]
    import pre_file

    assert pre_file.__file__ == str(file)


def test_a_module(tmp_path):
    (tmp_path / "pre_package").mkdir()
    (tmp_path / "pre_package" / "module.py").write_text(SCRIPT.replace("NAME", "module"))
    assert used(["pre_package.module"]) == ["up module", "running", "down module"]


def test_text():
    assert used(["import os; x = 1", SCRIPT]) == ["up NAME", "running", "down NAME"]


def test_several_are_torn_down_in_reverse(file):
    other = file.with_name("pre_other.py")
    other.write_text(SCRIPT.replace("NAME", "other"))
    assert used([str(file), str(other)]) == [
        *["up file", "up other", "running", "down other", "down file"]
    ]


def test_a_web_address():
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(SCRIPT.replace("NAME", self.path).encode())

        def log_message(self, *args):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        done = used(f"http://127.0.0.1:{server.server_port}/script.py")
        thread.join()
    assert done == ["up /script.py", "running", "down /script.py"]


def test_click_commands_parse_the_rest_of_the_line(file):
    file.write_text(COMMAND)
    assert used([str(file)], ["--count", "3", "a", "b"]) == [(3, ("a", "b")), "running"]
    assert used([str(file)] * 2, [["x"], []]) == [(1, ("x",)), (1, ()), "running"]


def test_arguments_for_each_must_be_as_many_as_preloads(file):
    with pytest.raises(ValueError, match="for each of the 1 preloads"):
        Preloads(None, [str(file)], [["a"], ["b"]])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("no_such_module", "preload 'no_such_module' cannot be imported: ModuleNotFoundError"),
        ("/no/such/file.py", "preload '/no/such/file.py' cannot be imported: FileNotFoundError"),
        ("x = = 1", "preload 'x = = 1' cannot be imported: SyntaxError"),
        ("raise KeyError(1)", "KeyError: 1"),
        ("http://127.0.0.1:1/x.py", "Connection refused"),
    ],
)
def test_what_cannot_be_imported_is_named_and_fatal_to_nobody(name, text, file, caplog):
    with pytest.raises(ImportError, match=text):
        load(name)
    assert used([name, str(file)]) == used([str(file)])
    assert text in caplog.text


def test_errors_in_setup_and_teardown_are_logged(caplog):
    assert used(["def dask_setup(s): 1 / 0", SCRIPT])[-1] == "down NAME"
    assert "dask_setup of preload 'def dask_setup(s): 1 / 0' failed" in caplog.text
    done = used([SCRIPT, "def dask_teardown(s): 1 / 0"])
    assert done[-1] == "down NAME"
    assert "dask_teardown of preload 'def dask_teardown(s): 1 / 0' failed" in caplog.text


@click.command()
@click.option("--preload", multiple=True, is_eager=True)
@click.argument("preload_argv", nargs=-1, type=click.UNPROCESSED, callback=validate_preload_argv)
def command(preload, preload_argv):
    click.echo(f"ok {preload_argv}")


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        ([], 0, "ok ()"),
        (["--preload", "COMMAND", "--", "--count", "3", "x"], 0, "ok ('--count', '3', 'x')"),
        (["--preload", "COMMAND", "--", "--count", "x"], 2, "'x' is not a valid integer"),
        (["--preload", "FILE", "x"], 2, "dask_setup of no --preload is a click command"),
        (["--preload", "no_such_module", "x"], 2, "preload 'no_such_module' cannot be imported"),
        (["x", "y"], 2, "got unexpected extra arguments (x y)"),
    ],
)
def test_arguments_are_checked_on_the_command_line(arguments, code, text, file):
    with_command = file.with_name("pre_command.py")
    with_command.write_text(COMMAND)
    names = {"FILE": str(file), "COMMAND": str(with_command)}
    result = CliRunner().invoke(command, [names.get(each, each) for each in arguments])
    assert (result.exit_code, text in result.output) == (code, True), result.output


def test_services_with_preloads_that_fail_and_one_that_says_where_the_scheduler_is(caplog):
    bad = "def dask_setup(service): raise ValueError('broken preload')"

    async def main():
        async with Scheduler(host="127.0.0.1", preload=bad) as scheduler:
            where = f"import dask\ndask.config.set(scheduler_address={scheduler.address!r})"
            try:
                async with (
                    Worker(preload=[where, bad], nthreads=1),
                    Nanny(preload_nanny=bad, nthreads=1) as nanny,
                ):
                    assert nanny.scheduler_addr == scheduler.address
                    await until(lambda: len(scheduler.workers) == 2)
            finally:
                dask.config.config.pop("scheduler_address", None)
                dask.config.config.pop("scheduler-address", None)
        return caplog.text.count("broken preload")

    assert run(main()) >= 3


def test_clients_have_preloads():
    noted = "def dask_setup(client): client.noted = 1\ndef dask_teardown(c): c.noted = 2"

    async def main():
        async with Scheduler(host="127.0.0.1") as scheduler:
            with dask.config.set({"distributed.client.preload": [noted]}):
                async with Client(scheduler.address, asynchronous=True) as client:
                    assert client.noted == 1
                assert client.noted == 2

    run(main())
