"""Examples of the docstrings of `Client.start_ipython_*` in `futures-api.txt`, in an IPython."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest

from shoal import Client

pytestmark = [pytest.mark.process, pytest.mark.filterwarnings("ignore")]


def inc(x):
    return x + 1


@pytest.fixture
def shell() -> Iterator[Any]:
    """An IPython in this process, as the one that a person types into."""
    from IPython.core.interactiveshell import InteractiveShell
    from jupyter_client import BlockingKernelClient
    from traitlets.config import Config

    config = Config()
    config.HistoryManager.enabled = False
    shell = InteractiveShell.instance(config=config)
    yield shell
    # The connections of magics last as long as the shell, which is the process elsewhere.
    for kernel in [o for o in gc.get_objects() if type(o) is BlockingKernelClient]:
        kernel.stop_channels()
    shell.restore_sys_module_state()
    InteractiveShell.clear_instance()


def test_magics(shell: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with Client(n_workers=2, threads_per_worker=1, dashboard_address=None) as c:
        (address, other) = c.nthreads()
        x = c.submit(inc, 0, key="x", workers=[address])
        y = c.submit(inc, 4, key="y", workers=[other])
        c.gather([x, y])

        def shown(name: str, line: str) -> str:
            capsys.readouterr()
            shell.run_line_magic(name, line)
            return capsys.readouterr().out

        info = c.start_ipython_workers()
        shell.user_ns["info"] = info
        assert "{'x': 1" in shown("remote", f"info[{address!r}] dict(worker.data)")

        c.start_ipython_workers(address, magic_names="w")
        assert "{'x': 1" in shown("w", "dict(worker.data)")

        # Add asterix * in magic names to add one magic per worker
        c.start_ipython_workers([address, other], magic_names="w_*")
        assert "'x': 1" in shown("w_0", "dict(worker.data)")
        assert "'y': 5" in shown("w_1", "dict(worker.data)")

        c.start_ipython_scheduler()
        assert repr(address) in shown("scheduler", "scheduler.processing")
        assert "hello" in shown("w_0", "print('hello')")
        capsys.readouterr()
        shell.run_line_magic("w_0", "1 / 0")
        assert "ZeroDivisionError" in capsys.readouterr().err
        with pytest.raises(TimeoutError, match="the kernel does not answer"):
            shell.run_line_magic("w_0", "import os; os._exit(1)")
