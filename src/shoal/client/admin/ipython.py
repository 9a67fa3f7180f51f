"""IPython kernels on workers and the scheduler, and magics of this IPython that speak to them."""

from __future__ import annotations

import importlib
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from shoal.client.submission.submit import as_workers

if TYPE_CHECKING:
    from shoal.client.session.context import SchedulerAccess

__all__ = ["start_on_scheduler", "start_on_workers"]

_TIMEOUT = 30.0
_SILENCE = 5.0  # seconds without a heartbeat after which a kernel is believed to be gone


async def start_on_workers(
    client: SchedulerAccess, workers: Any, magic_names: Any, qtconsole: bool, qtconsole_args: Any
) -> dict[str, dict[str, Any]]:
    """Start kernels on workers; return what is needed to connect, by worker."""
    console = _find_console() if qtconsole else ""
    await client
    infos: dict[str, dict[str, Any]] = await client.scheduler.broadcast(
        msg={"op": "start_ipython"},
        workers=None if workers is None else as_workers(workers),
    )
    names = _expand(magic_names, len(infos))
    shell = _own_shell()
    if shell is not None:
        _add_remote(shell, infos)
        for name, info in zip(names, infos.values()):
            _add_magic(shell, name, info)
    elif names:
        raise RuntimeError("magic_names= needs IPython here, and this is none")
    if console:
        for address, info in infos.items():
            _open_console(console, info, f"shoal-{address}", qtconsole_args)
    return infos


async def start_on_scheduler(
    client: SchedulerAccess, magic_name: str | None, qtconsole: bool, qtconsole_args: Any
) -> dict[str, Any]:
    """Start a kernel on the scheduler; return what is needed to connect."""
    console = _find_console() if qtconsole else ""
    await client
    info: dict[str, Any] = await client.scheduler.start_ipython()
    shell = _own_shell()
    if magic_name == "scheduler_if_ipython":
        magic_name = "scheduler" if shell is not None else None
    if magic_name:
        if shell is None:
            raise RuntimeError("magic_name= needs IPython here, and this is none")
        _add_magic(shell, magic_name, info)
    if console:
        _open_console(console, info, "shoal-scheduler", qtconsole_args)
    return info


def _expand(names: Any, count: int) -> list[str]:
    """Return one magic name for each of so many workers."""
    if not names:
        return []
    if isinstance(names, str):
        if "*" in names:
            return [names.replace("*", str(i)) for i in range(count)]
        return [names] if count == 1 else [f"{names}_{i}" for i in range(count)]
    listed = list(names)
    if len(listed) != count:
        raise ValueError(f"magic_names= has {len(listed)} names, and there are {count} workers")
    return listed


def _own_shell() -> Any:
    """Return the IPython that runs here, if one does."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None else None


def _runner(info: dict[str, Any]) -> Callable[[str], None]:
    """Return a function that runs code in a kernel and shows here what it shows there."""
    found: list[Any] = []

    def run(code: str) -> None:
        if not found:
            kernel = importlib.import_module("jupyter_client").BlockingKernelClient()
            kernel.load_connection_info(info)
            kernel.start_channels()
            kernel.wait_for_ready(_TIMEOUT)
            found.append(kernel)
        try:
            _execute(found[0], code)
        except TimeoutError:
            found.clear()
            raise

    return run


def _execute(kernel: Any, code: str) -> None:
    """Run code in a kernel for as long as it takes and the kernel lives, and show what it shows."""
    request = kernel.execute(code, allow_stdin=False)
    heard = time.monotonic()
    while True:
        try:
            message = kernel.get_iopub_msg(timeout=1)
        except queue.Empty:
            if kernel.is_alive():
                heard = time.monotonic()
            elif time.monotonic() - heard > _SILENCE:
                raise TimeoutError("the kernel does not answer; is its process gone?") from None
            continue
        if message["parent_header"].get("msg_id") != request:
            continue
        content = message["content"]
        if message["msg_type"] == "status" and content["execution_state"] == "idle":
            return
        _show(message["msg_type"], content)


def _show(kind: str, content: dict[str, Any]) -> None:
    if kind == "stream":
        (sys.stderr if content["name"] == "stderr" else sys.stdout).write(content["text"])
    elif kind in ("display_data", "execute_result"):
        display = importlib.import_module("IPython.display")
        display.publish_display_data(content["data"], content["metadata"])
    elif kind == "error":
        sys.stderr.write("\n".join(content["traceback"]) + "\n")


def _add_magic(shell: Any, name: str, info: dict[str, Any]) -> None:
    run = _runner(info)

    def magic(line: str, cell: str | None = None) -> None:
        run(line if cell is None else cell)

    shell.register_magic_function(magic, magic_kind="line_cell", magic_name=name)


def _add_remote(shell: Any, infos: dict[str, dict[str, Any]]) -> None:
    """Add ``%remote info[address] code``."""
    runners = {json.dumps(info, sort_keys=True): _runner(info) for info in infos.values()}

    def remote(line: str, cell: str | None = None) -> None:
        where, _, code = line.partition(" ")
        info = shell.ev(where)
        run = runners.setdefault(json.dumps(info, sort_keys=True), _runner(info))
        run(code if cell is None else cell)

    shell.register_magic_function(remote, magic_kind="line_cell", magic_name="remote")


def _find_console() -> str:
    """Return the program of Jupyter's QtConsole; that of this environment comes first."""
    places = [os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)]
    found = shutil.which("jupyter-qtconsole", path=os.pathsep.join(places))
    if found is None:
        raise RuntimeError(
            "qtconsole=True needs Jupyter's QtConsole, which is not installed here; get it with: "
            "pip install qtconsole PyQt5"
        )
    return found


def _open_console(
    program: str, info: dict[str, Any], name: str, args: Sequence[str] | None
) -> None:
    """Open a window; the file it reads is for this user only."""
    descriptor, path = tempfile.mkstemp(prefix="kernel-", suffix=".json")  # mode 0600
    with os.fdopen(descriptor, "w") as file:
        json.dump({**info, "kernel_name": name}, file)
    _consoles[:] = [console for console in _consoles if console.poll() is None]
    _consoles.append(subprocess.Popen([program, "--existing", path, *(args or [])]))


_consoles: list[subprocess.Popen[bytes]] = []  # that are open; people close them
