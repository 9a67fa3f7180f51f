"""An IPython kernel in a thread of this process, for people who want to look into a live server.

Needs the extra ``jupyter``; nothing of it is imported before somebody asks for a kernel.
"""

from __future__ import annotations

import builtins
import importlib
import logging
import sys
import threading
from typing import Any

__all__ = ["start_kernel"]

logger = logging.getLogger("shoal.diagnostics")

_TIMEOUT = 20.0
_lock = threading.Lock()
_running: dict[str, Any] = {}  # one kernel per process: IPython has no more


def start_kernel(host: str, namespace: dict[str, Any]) -> dict[str, Any]:
    """Start the kernel of this process, or give the running one more names.

    Parameters
    ----------
    host : str
        Address to listen on.
    namespace : dict
        Names that code in the kernel can use.

    Returns
    -------
    dict
        The connection file for Jupyter clients, with the secret key.

    Raises
    ------
    ImportError
        When ipykernel is not installed.
    """
    try:
        kernelapp = importlib.import_module("ipykernel.kernelapp")
    except ImportError as error:
        raise ImportError(
            "an IPython kernel needs ipykernel where it is to run: pip install 'shoal[jupyter]' "
            f"({error})"
        ) from error
    with _lock:
        app = _running.get("app")
        if app is None:
            app = _running["app"] = _start(kernelapp, host)
        app.shell.user_ns.update(namespace)
        info: dict[str, Any] = app.get_connection_info()
    key = info.get("key")
    info["key"] = key.decode() if isinstance(key, bytes) else key
    return info


def _start(kernelapp: Any, host: str) -> Any:
    """Run a kernel in a thread; return its application once it listens."""
    ready = threading.Event()
    made: dict[str, Any] = {}

    class KernelApp(kernelapp.IPKernelApp):  # type: ignore[misc]
        """A kernel that leaves the process's signals and output streams alone."""

        def init_signal(self) -> None:
            pass  # only the main thread may

        def init_io(self) -> None:
            # Output of code goes to its caller; output of the process goes where it went.
            iostream = importlib.import_module("ipykernel.iostream")
            displayhook = importlib.import_module("ipykernel.displayhook")
            stream = iostream.OutStream(self.session, self.iopub_thread, "stdout", watchfd=False)
            self.displayhook = displayhook.ZMQDisplayHook(self.session, self.iopub_socket)

            def print_there(*args: Any, file: Any = None, **kwargs: Any) -> None:
                stream.set_parent(self.kernel.get_parent())
                builtins.print(*args, file=file or stream, **kwargs)
                stream.flush()

            made["print"] = print_there

        def log_connection_info(self) -> None:
            pass  # the caller is told

    def run() -> None:
        asyncio = importlib.import_module("asyncio")
        main = sys.modules.get("__main__")
        try:
            asyncio.set_event_loop(asyncio.new_event_loop())
            app = KernelApp(ip=host, log_level=logging.ERROR)
            app.initialize([])
            app.shell.user_ns["print"] = made["print"]
            made["app"] = app
        except BaseException as error:
            made["error"] = error
        finally:
            if main is not None:  # tasks are pickled against the real one
                sys.modules["__main__"] = main
            ready.set()
        if "app" in made:
            made["app"].start()

    threading.Thread(target=run, name="shoal-ipython", daemon=True).start()
    if not ready.wait(_TIMEOUT):
        raise TimeoutError(f"the IPython kernel did not start within {_TIMEOUT:g} s")
    if "error" in made:
        raise RuntimeError(f"the IPython kernel did not start: {made['error']}") from made["error"]
    return made["app"]
