"""`shoal.testing`: functions to submit, conditions, and the search for what was left behind."""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import pickle
import ssl
import subprocess
import sys
import threading
from pathlib import Path

import dask.config
import pytest
from helpers import run, wait_until

from shoal.testing import (
    add,
    assert_story,
    assert_valid_story,
    async_poll_for,
    asyncinc,
    captured_handler,
    captured_logger,
    check_process_leak,
    check_thread_leak,
    clean,
    config_for_cluster_tests,
    dec,
    deep,
    div,
    double,
    get_cert,
    get_client_ssl_context,
    get_server_ssl_context,
    identity,
    inc,
    lock_inc,
    map_varying,
    mul,
    new_config,
    new_config_file,
    new_environment,
    original_config,
    poll_for,
    popen,
    raises_with_cause,
    reset_config,
    save_sys_modules,
    slow,
    slowadd,
    slowdec,
    slowidentity,
    slowinc,
    throws,
    tls_security,
    varying,
)


def test_little_functions():
    assert [inc(1), dec(1), add(1, 2), mul(2, 3), div(6, 3), double(4)] == [2, 0, 3, 6, 2, 8]
    assert [slowinc(1, delay=0), slowdec(1, delay=0), slowadd(1, 2, delay=0)] == [2, 0, 3]
    assert slowidentity(1, delay=0) == identity(1) == 1
    assert slowidentity(1, 2, delay=0) == (1, 2)
    assert slow(add, 0, 1, y=2) == 3
    assert lock_inc(1, threading.Lock()) == 2
    assert run(asyncinc(1, delay=0)) == 2
    with pytest.raises(RuntimeError, match="hello"):
        throws(1)
    with pytest.raises(RuntimeError) as caught:
        deep(20)
    assert len(caught.traceback) > 20


def test_varying_takes_turns_with_its_copies():
    f = varying([1, ValueError("two"), 3])
    copy = pickle.loads(pickle.dumps(f))
    assert f() == 1
    with pytest.raises(ValueError, match="two"):
        copy("any", argument=1)
    assert f() == 3
    with pytest.raises(IndexError, match="called 4 times"):
        copy()
    g, args = map_varying([[1, 2], [10]])
    assert [g(arg) for arg in args] == [1, 10]
    assert g(args[0]) == 2


def test_polling():
    turns = iter([False, False, True])
    poll_for(lambda: next(turns), timeout=5)
    with pytest.raises(AssertionError, match="not reached within 0"):
        poll_for(lambda: False, timeout=0)
    with pytest.raises(KeyError, match="why"):
        poll_for(lambda: False, timeout=0, fail_func=lambda: {}["why"])

    async def main():
        turns = iter([False, True])
        await async_poll_for(lambda: next(turns), timeout=5)
        done = asyncio.get_running_loop().create_future()
        done.set_result(True)
        await async_poll_for(lambda: done, timeout=5)
        with pytest.raises(AssertionError):
            await async_poll_for(lambda: False, timeout=0)

    run(main())


def test_captured_logs():
    log = logging.getLogger("shoal.fish")
    with captured_logger("distributed.fish", level=logging.WARNING, propagate=False) as said:
        log.info("not this")
        log.warning("this")
    assert said.getvalue() == "this\n"
    assert log.handlers == []
    assert log.level == logging.NOTSET
    handler = logging.StreamHandler(sys.stderr)
    with captured_handler(handler) as said:
        handler.emit(logging.makeLogRecord({"msg": "fish"}))
    assert said.getvalue() == "fish\n"
    assert handler.stream is sys.stderr


def test_causes():
    def fail():
        try:
            raise ValueError("inner")
        except ValueError as error:
            raise RuntimeError("outer") from error

    with raises_with_cause(RuntimeError, "out", ValueError, "in"):
        fail()
    with (
        pytest.raises(AssertionError, match="expected"),
        raises_with_cause(RuntimeError, None, KeyError, None),
    ):
        fail()
    with (
        pytest.raises(AssertionError, match="is not in"),
        raises_with_cause(RuntimeError, None, ValueError, "nothing"),
    ):
        fail()
    with (
        pytest.raises(AssertionError, match="did not raise"),
        raises_with_cause(RuntimeError, None, ValueError, None),
    ):
        pass
    with pytest.raises(RuntimeError, match="outer"), raises_with_cause(OSError, None, OSError, ""):
        fail()


def test_stories():
    story = [("x", "released", "s-1", 1.0), ("x", "waiting", "s-1", 2.0), ("y", 3, {}, "s-2", 3.0)]
    assert_story(story, [("x", "waiting"), ("y", lambda n: n == 3, ...)])
    assert_story(story, [event[:-2] for event in story], strict=True)
    assert_story([], [], strict=True)
    for wrong in [
        [("y", 3, {}), ("x", "released")],
        [("z",)],
        [("x",)],
        [("x", "released", "s-1")],
    ]:
        with pytest.raises(AssertionError, match="there is no"):
            assert_story(story, wrong)
    with pytest.raises(AssertionError, match="expected"):
        assert_story(story, [("x", "waiting")], strict=True)
    with pytest.raises(AssertionError, match="more happened"):
        assert_story(story, [event[:-2] for event in story[:2]], strict=True)


@pytest.mark.parametrize(
    ("event", "wrong"),
    [
        (("x", 1.0), "more than a stimulus"),
        (("x", "", 1.0), "no stimulus"),
        (("x", "s", 1), "no time"),
        (["x", "s", 1.0], "a tuple"),
        (("x", "s", 0.1), "earlier"),
    ],
)
def test_stories_that_are_none(event, wrong):
    first = ("x", "s", 0.5)
    assert_valid_story([first])
    with pytest.raises(AssertionError, match=wrong):
        assert_story([first, event], [])


def test_configuration_and_environment_of_a_block(tmp_path, monkeypatch):
    monkeypatch.setenv("FISH", "before")
    with new_environment({"FISH": 5, "MORE": "x", "PATH": None}):
        assert (os.environ["FISH"], os.environ["MORE"]) == ("5", "x")
        assert "PATH" not in os.environ
    assert os.environ["FISH"] == "before" and "MORE" not in os.environ and "PATH" in os.environ
    with new_config({"distributed.fish": 1}):
        assert dask.config.get("distributed.fish") == 1
    assert dask.config.get("distributed.fish", None) is None
    with new_config_file({"distributed": {"fish": 2}}):
        assert dask.config.get("distributed.fish") == 2
        code = "import dask.config; print(dask.config.get('distributed.fish'))"
        assert subprocess.check_output([sys.executable, "-c", code]).strip() == b"2"
    assert dask.config.get("distributed.fish", None) is None
    with config_for_cluster_tests(**{"distributed.fish": 3}):
        assert dask.config.get("distributed.fish") == 3
        assert dask.config.get("distributed.scheduler.validate") is True
    (tmp_path / "little_fish.py").write_text("x = 1")
    with save_sys_modules():
        sys.path.insert(0, str(tmp_path))
        assert importlib.import_module("little_fish").x == 1
    assert "little_fish" not in sys.modules and str(tmp_path) not in sys.path


def test_certificates_in_files():
    text = Path(get_cert("tls-key-cert.pem")).read_text()
    assert Path(get_cert("tls-key.pem")).read_text() + tls_security().tls_client_cert == text
    assert Path(get_cert("tls-ca-cert.pem")).read_text() == tls_security().tls_ca_file
    with pytest.raises(FileNotFoundError, match=r"'fish\.pem', only .*tls-ca-cert"):
        get_cert("fish.pem")
    assert get_server_ssl_context().verify_mode is ssl.CERT_REQUIRED
    with pytest.raises(ssl.SSLError):
        get_client_ssl_context(certfile="tls-self-signed-cert.pem")  # of another key


def test_a_thread_left_behind_is_found():
    end = threading.Event()
    with (
        pytest.raises(AssertionError, match=r"left behind: thread lost[\s\S]*end\.wait"),
        check_thread_leak(timeout=0.05),
    ):
        threading.Thread(target=lambda: end.wait(10), name="lost").start()
    end.set()
    with check_thread_leak():
        threading.Thread(target=end.wait).start()


@pytest.mark.process
def test_a_process_left_behind_is_found_and_ended():
    command = [sys.executable, "-c", "input()"]
    with (
        pytest.raises(AssertionError, match="left behind"),
        check_process_leak(timeout=0.05),
    ):
        process = subprocess.Popen(command, stdin=subprocess.PIPE)
    assert process.wait(10) != 0
    process.stdin.close()


def test_configuration_comes_back():
    with clean():
        dask.config.set({"distributed.fish": 1})
        assert dask.config.get("distributed.fish") == 1
    assert dask.config.get("distributed.fish", None) is None
    dask.config.set({"distributed.fish": 1})
    reset_config()
    assert dask.config.config == original_config
    assert dask.config.config is not original_config


@pytest.mark.process
def test_a_command_runs_and_is_ended(capfd):
    code = "import sys; print('up', flush=True); sys.stdin.read()"
    with popen(
        ["python", "-c", code], capture_output=True, stdin=subprocess.PIPE, terminate_timeout=20
    ) as process:
        assert process.stdout.readline().strip() == b"up"
        assert process.poll() is None
    assert process.returncode is not None
    process.stdin.close()
    with (
        pytest.raises(ZeroDivisionError),
        popen(["python", "-c", "print('last words')"]) as process,
    ):
        wait_until(lambda: process.poll() is not None)
        raise ZeroDivisionError
    assert "last words" in capfd.readouterr().err


@pytest.mark.process
def test_commands_find_the_name():
    """Where the tests have it, so do the commands that they start."""
    code = (
        "import shoal; shoal.install_as_distributed()\n"
        "from distributed.utils_test import popen\n"
        "with popen(['python', '-c', 'import distributed; print(distributed.Client.__module__)'],\n"
        "           capture_output=True) as process:\n"
        "    print(process.stdout.read().decode())\n"
    )
    said = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert said.startswith("shoal.")
