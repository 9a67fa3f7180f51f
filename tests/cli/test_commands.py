"""The commands, run as a user runs them."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager

import dask
import pytest
from click.testing import CliRunner
from helpers import wait_until

import shoal
from shoal import Client
from shoal.cli.main import cli, main
from shoal.cli.scheduler import warn_if_readable
from shoal.cli.worker import shape
from shoal.comm.page_tokens import PageTokens


@contextmanager
def running(*arguments):
    """Run a command, with its output as text; end it with Ctrl-C."""
    process = subprocess.Popen(
        [sys.executable, "-m", "shoal", *arguments],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.said = process.communicate(timeout=20)[1]
        except subprocess.TimeoutExpired:
            process.kill()
            raise


def failing(capsys, *arguments):
    """Run a command that fails before it starts anything; return its message and exit code."""
    with pytest.raises(SystemExit) as caught:
        main(list(arguments))
    return capsys.readouterr().err, caught.value.code


def test_help_and_version():
    runner = CliRunner()
    listed = runner.invoke(cli, ["--help"]).output
    assert "scheduler" in listed
    assert "worker" in listed
    assert runner.invoke(cli, ["--version"]).output == f"shoal {shoal.__version__}\n"
    for option in ["--nworkers", "--memory-limit", "--no-nanny", "--lifetime", "--tls-ca-file"]:
        assert option in runner.invoke(cli, ["worker", "--help"]).output
    for option in ["--port", "--scheduler-file", "--idle-timeout", "--tls-key"]:
        assert option in runner.invoke(cli, ["scheduler", "--help"]).output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["scheduler", "--port", "x"], "'x' is not a port"),
        (["scheduler", "--tls-key", "/no/such"], "'/no/such' does not exist"),
        (["scheduler", "--idle-timeout", "soon"], "'soon' is not a duration"),
        (["scheduler", "fish"], "unexpected extra argument (fish)"),
        (["worker", "a:1", "--nworkers", "0"], "--nworkers 0"),
        (["worker", "a:1", "--nworkers", "two"], "--nworkers two"),
        (["worker", "a:1", "--nworkers", "2", "--no-nanny"], "drop --no-nanny"),
        (
            ["worker", "a:1", "--nworkers", "2", "--contact-address", "b:c"],
            "--contact-address b:c",
        ),
        (["worker", "a:1", "--memory-limit", "lots"], "'lots' is not a memory limit"),
        (["worker", "a:1", "--resources", "GPU"], "'GPU' is not NAME=NUMBER"),
        (["worker", "a:1", "--scheduler-file", "f"], "not both"),
        (["swim"], "No such command 'swim'"),
        (["worker", "a:1", "--nprocs", "2"], "No such option '--nprocs'"),
        (["worker", "--scheduler-file", "f", "--nworker=4"], "'--nworker'"),
        (["worker", "a:1", "--memory_limit=1GB"], "Did you mean '--memory-limit'?"),
        (["scheduler", "--schedulerfile", "x"], "Did you mean '--scheduler-file'?"),
        (["worker", "a:1", "--preload", "def f(): 0", "--mine=4"], "argument (--mine=4)"),
        (["worker", "--scheduler-file", "f", "--preload", "x=1", "--mine", "4"], "(--mine 4)"),
    ],
)
def test_bad_options_are_one_clear_line(capsys, arguments, message):
    said, code = failing(capsys, *arguments)
    assert code == 2
    first, hint = said.rstrip().split("\n")
    assert message in first
    assert hint.startswith("See shoal")


def test_a_worker_needs_a_scheduler(capsys):
    said, code = failing(capsys, "worker", "--nthreads", "1")
    assert code == 1
    assert "no scheduler to connect to" in said


def test_shapes():
    assert shape("2", 3) == (2, 3)
    assert shape("-1", None) == (os.cpu_count(), 1) or shape("-1", None)[0] >= 1
    assert shape("auto", 7)[1] == 7


@pytest.mark.parametrize(
    ("address", "warned"),
    [
        ("tcp://127.0.0.1:8786", False),
        ("tcp://localhost:8786", False),
        ("tcp://[::1]:8786", False),
        ("tls://192.0.2.7:8786", False),
        ("ipc:///tmp/x", False),
        ("tcp://192.0.2.7:8786", True),
        ("tcp://[2001:db8::1]:8786", True),
    ],
)
def test_readable_traffic_is_warned_of(caplog, address, warned):
    warn_if_readable(address)
    assert caplog.text == ""  # tcp is encrypted under the secret
    with dask.config.set({"shoal.comm.encryption": False}):
        warn_if_readable(address)
    assert ("not encrypted" in caplog.text) is warned


@pytest.mark.process
def test_a_cluster_by_hand(tmp_path):
    file, pid = tmp_path / "scheduler.json", tmp_path / "pid"
    options = ["--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file)]
    with running("scheduler", *options, "--pid-file", str(pid)) as scheduler:
        wait_until(file.exists, 20)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        address = json.loads(file.read_text())["address"]
        assert pid.read_text() == str(scheduler.pid)
        options = ["--nworkers", "2", "--nthreads", "1", "--name", "al", "--resources", "GPU=2"]
        with (
            running("worker", "--scheduler-file", str(file), *options) as workers,
            running("worker", address, "--no-nanny", "--nthreads", "3", "--name", "bo") as alone,
            Client(scheduler_file=str(file)) as client,
        ):
            client.wait_for_workers(3, timeout=20)
            infos = {w["name"]: w for w in client.scheduler_info()["workers"].values()}
            assert set(infos) == {"al-0", "al-1", "bo"}
            assert infos["al-0"]["resources"] == {"GPU": 2}
            assert infos["al-0"]["nanny"] is not None
            assert infos["bo"]["nanny"] is None
            assert infos["bo"]["nthreads"] == 3
            assert client.submit(sum, [1, 2], workers="bo").result() == 3
    assert [p.returncode for p in (scheduler, workers, alone)] == [0, 0, 0]
    assert f"Scheduler at: {address}" in scheduler.said
    assert "SIGINT" in workers.said
    assert "Traceback" not in scheduler.said + workers.said + alone.said
    assert not file.exists()
    assert not pid.exists()


@pytest.mark.process
def test_a_port_that_is_taken_is_one_line():
    with running("scheduler", "--host", "127.0.0.1", "--port", "0") as first:
        line = ""
        while "Scheduler at" not in line:
            line = first.stderr.readline()
        port = re.search(r":(\d+)$", line).group(1)
        second = subprocess.run(
            [sys.executable, "-m", "shoal", "scheduler", "--host", "127.0.0.1", "--port", port],
            capture_output=True,
            text=True,
            timeout=20,
        )
    assert second.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in second.stderr
    assert "Traceback" not in second.stderr


@pytest.mark.process
@pytest.mark.parametrize("nanny", ["--nanny", "--no-nanny"])
def test_a_worker_that_finds_no_scheduler_gives_up(nanny):
    command = ["worker", "tcp://127.0.0.1:9", nanny, "--death-timeout", "0.2", "--nthreads", "1"]
    done = subprocess.run(
        [sys.executable, "-m", "shoal", *command], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 1
    assert "no scheduler at tcp://127.0.0.1:9" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.process
def test_a_worker_looks_again_into_the_file_of_an_earlier_scheduler(tmp_path):
    file = tmp_path / "scheduler.json"
    file.write_text(json.dumps({"address": "tcp://127.0.0.1:9", "id": "gone"}))
    arguments = ["--scheduler-file", str(file), "--host", "127.0.0.1"]
    with running("worker", *arguments, "--nthreads", "1", "--death-timeout", "60") as worker:
        with running("scheduler", "--port", "0", "--no-dashboard", *arguments):
            wait_until(lambda: "gone" not in file.read_text(), 20)
            with Client(scheduler_file=str(file)) as client:
                client.wait_for_workers(1, timeout=30)
        assert worker.poll() is None or worker.returncode == 0


@pytest.mark.process
def test_probes_find_health_and_metrics_of_scheduler_and_worker(tmp_path):
    """As charts for Kubernetes call it: ports without a host, workers without a dashboard."""
    file = tmp_path / "scheduler.json"
    common = ["--scheduler-file", str(file)]
    with running("scheduler", "--port", "0", "--dashboard-address", ":0", *common) as scheduler:
        worker = ["--no-dashboard", "--dashboard-address", "0", "--nthreads", "1", *common]
        with running("worker", *worker), Client(scheduler_file=str(file)) as client:
            client.wait_for_workers(1, timeout=40)
            told = client.scheduler_info()
            (port,) = [each["services"]["dashboard"] for each in told["workers"].values()]
            for each, name in ((told["services"]["dashboard"], "scheduler"), (port, "worker")):
                base = f"http://127.0.0.1:{each}"
                assert urllib.request.urlopen(f"{base}/health").read() == b"ok"
                with pytest.raises(urllib.error.HTTPError, match="401"):
                    urllib.request.urlopen(f"{base}/metrics")
                token = PageTokens.configured().bearer
                asked = urllib.request.Request(
                    f"{base}/metrics", headers={"Authorization": f"Bearer {token}"}
                )
                assert f"dask_{name}_".encode() in urllib.request.urlopen(asked).read()
            assert urllib.request.urlopen(client.dashboard_link).status == 200
    assert re.search(r"Pages at: http://\S+:\d+/status\?token=o-", scheduler.said)
