"""IPython kernels in workers and schedulers."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers import run, wait_until

from shoal import Client, RemoteError, Scheduler, Worker
from shoal.client.admin.ipython import _consoles, _expand


def test_without_ipykernel_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("ipykernel", "ipykernel.kernelapp"):
        monkeypatch.setitem(sys.modules, name, None)  # as if it were not installed

    async def main() -> None:
        async with (
            Scheduler(protocol="inproc") as s,
            Worker(s.address, nthreads=1),
            Client(s.address, asynchronous=True, set_as_default=False) as c,
        ):
            for start in (c.start_ipython_workers, c.start_ipython_scheduler):
                with pytest.raises(
                    (ImportError, RemoteError), match=r"pip install 'shoal\[jupyter\]'"
                ):
                    await start()

    run(main())


def test_magic_names() -> None:
    assert _expand("w_*", 3) == ["w_0", "w_1", "w_2"]
    assert _expand("w", 1) == ["w"] and _expand("w", 2) == ["w_0", "w_1"]
    assert _expand(["a", "b"], 2) == ["a", "b"]
    assert _expand(False, 2) == []
    with pytest.raises(ValueError, match="has 1 names, and there are 2 workers"):
        _expand(["a"], 2)


# Says where it was opened, in place of a window.
CONSOLE = """#!{python}
import json, os, sys
with open(sys.argv[2]) as file:
    info = json.load(file)
mode = oct(os.stat(sys.argv[2]).st_mode & 0o777)
with open(os.path.join({folder!r}, str(os.getpid())), "w") as file:
    json.dump({{"info": info, "mode": mode, "args": [sys.argv[1], *sys.argv[3:]]}}, file)
"""


@pytest.mark.process
@pytest.mark.filterwarnings("ignore")
def test_consoles_are_opened_to_each_kernel(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    opened = tmp_path / "opened"
    opened.mkdir()
    program = tmp_path / "jupyter-qtconsole"
    program.write_text(CONSOLE.format(python=sys.executable, folder=str(opened)))
    program.chmod(0o700)
    args = ["--style", "monokai"]

    def seen(count: int) -> list[dict[str, Any]]:
        wait_until(lambda: sum(file.stat().st_size > 0 for file in opened.iterdir()) == count)
        wait_until(lambda: all(console.poll() == 0 for console in _consoles))
        found = [json.loads(file.read_text()) for file in opened.iterdir()]
        for file in opened.iterdir():
            file.unlink()
        assert all(each["args"] == ["--existing", *args] for each in found)
        assert all(each["mode"] == "0o600" for each in found), "others may not connect"
        return [each["info"] for each in found]

    with Client(n_workers=2, threads_per_worker=1, dashboard_address=None) as client:
        monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))  # the place to look at
        infos = client.start_ipython_workers(qtconsole=True, qtconsole_args=args)
        for shown in seen(2):
            address = shown["kernel_name"].removeprefix("shoal-")
            assert shown == {**infos[address], "kernel_name": shown["kernel_name"]}
        info = client.start_ipython_scheduler(qtconsole=True, qtconsole_args=args)
        (shown,) = seen(1)
        assert shown == {**info, "kernel_name": "shoal-scheduler"}


def test_without_a_console_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))

    async def main() -> None:
        async with (
            Scheduler(protocol="inproc") as s,
            Client(s.address, asynchronous=True, set_as_default=False) as c,
        ):
            for start in (c.start_ipython_workers, c.start_ipython_scheduler):
                with pytest.raises(RuntimeError, match="pip install qtconsole"):
                    await start(qtconsole=True)

    run(main())


@pytest.mark.process
@pytest.mark.filterwarnings("ignore")
def test_kernels_run_code_where_they_are() -> None:
    from jupyter_client import BlockingKernelClient

    def outcome(info: dict[str, Any], code: str) -> list[str]:
        kernel = BlockingKernelClient()
        kernel.load_connection_info(info)
        kernel.start_channels()
        kernel.wait_for_ready(20)
        found: list[str] = []

        def take(message: dict[str, Any]) -> None:
            content = message["content"]
            found.extend([content["text"]] if "text" in content else [])
            found.extend([content["data"]["text/plain"]] if "data" in content else [])

        kernel.execute_interactive(code, timeout=20, output_hook=take)
        kernel.stop_channels()
        return found

    with Client(n_workers=1, threads_per_worker=1, dashboard_address=None) as client:
        infos = client.start_ipython_workers()
        ((address, info),) = infos.items()
        assert outcome(info, "print('there'); worker.address") == ["there\n", repr(address)]
        with pytest.warns(DeprecationWarning, match="start_ipython_workers"):
            assert client.start_ipython() == infos
        with pytest.raises(RuntimeError, match="needs IPython here"):
            client.start_ipython_workers(magic_names="w")
        scheduler = client.start_ipython_scheduler()
        assert outcome(scheduler, "len(scheduler.workers)") == ["1"]
        assert client.submit(lambda: 1).result() == 1
