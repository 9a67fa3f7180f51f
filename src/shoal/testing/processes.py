"""Other processes: a cluster in some, and commands."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import dask.config

from shoal.compat.switch import is_installed, shim_path
from shoal.deploy.local import LocalCluster
from shoal.security import Security
from shoal.testing.certificates import tls_only_security

__all__ = ["cluster", "popen", "tls_cluster_context"]


@contextmanager
def cluster(
    nworkers: int = 2,
    nanny: bool = False,
    worker_kwargs: dict[str, Any] | None = None,
    active_rpc_timeout: float = 10,
    disconnect_timeout: float = 20,
    scheduler_kwargs: dict[str, Any] | None = None,
    config: dict[str, Any] | None = None,
) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Run a scheduler and workers with one thread each, in processes, on 127.0.0.1.

    Parameters
    ----------
    nworkers : int
        Number of workers.
    nanny : bool
        Whether a worker that dies is replaced.
    worker_kwargs, scheduler_kwargs : dict, optional
        More arguments for them; a `security` of either is that of the cluster.
    active_rpc_timeout : float
        Accepted for compatibility.
    disconnect_timeout : float
        Seconds that closing may take.
    config : dict, optional
        Configuration of all of them.

    Yields
    ------
    scheduler : dict
        ``address``.
    workers : list of dict
        ``address``, ``name`` and ``pid`` of each.
    """
    kwargs: dict[str, Any] = {"threads_per_worker": 1, "host": "127.0.0.1", **(worker_kwargs or {})}
    scheduler_kwargs = dict(scheduler_kwargs or {})
    if "security" in scheduler_kwargs:
        kwargs["security"] = scheduler_kwargs.pop("security")
    security = kwargs.get("security")
    if isinstance(security, dict):
        security = kwargs["security"] = Security(**security)
    if security is not None and security.encrypted:
        kwargs.setdefault("protocol", "tls")
    with dask.config.set(config or {}):
        made = LocalCluster(
            n_workers=nworkers,
            restart=nanny,
            scheduler_kwargs=scheduler_kwargs,
            **kwargs,
        )
        try:
            # In the order of their names, which is that of their making.
            workers = [
                {"address": worker.worker_address, "name": name, "pid": worker.pid}
                for name, worker in sorted(made.workers.items())
            ]
            yield {"address": made.scheduler_address}, workers
        finally:
            made.close(timeout=disconnect_timeout)


@contextmanager
def tls_cluster_context(
    worker_kwargs: dict[str, Any] | None = None,
    scheduler_kwargs: dict[str, Any] | None = None,
    security: Security | None = None,
    **kwargs: Any,
) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """`cluster` with certificates, those of `tls_only_security` by default."""
    given = {"security": security or tls_only_security()}
    with cluster(
        worker_kwargs={**given, **(worker_kwargs or {})},
        scheduler_kwargs={**given, **(scheduler_kwargs or {})},
        **kwargs,
    ) as made:
        yield made


@contextmanager
def popen(
    args: Sequence[str],
    capture_output: bool = False,
    terminate_timeout: float = 10,
    kill_timeout: float = 5,
    **kwargs: Any,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command of this Python's environment while the block runs; then end it with Ctrl-C.

    Where this process has shoal under the name `distributed`, the command finds it so too.

    Parameters
    ----------
    args : list of str
        The command; its program is looked for beside this Python first.
    capture_output : bool
        Whether the block reads ``stdout`` itself, with what went to ``stderr``. Otherwise all that
        the command says is printed when the block fails.
    terminate_timeout : float
        Seconds that it may take to end.
    kill_timeout : float
        Seconds that it may take when it is killed after those.
    **kwargs
        Of `subprocess.Popen`.

    Raises
    ------
    subprocess.TimeoutExpired
        When it had to be killed.
    """
    program = os.path.join(os.path.dirname(sys.executable), args[0])
    command = [program if os.path.exists(program) else args[0], *args[1:]]
    if is_installed():
        kwargs["env"] = _with_the_name(kwargs.get("env"))
    kwargs.setdefault("stdout", subprocess.PIPE)
    kwargs.setdefault("stderr", subprocess.STDOUT)
    if sys.platform == "win32":
        kwargs.setdefault("creationflags", subprocess.CREATE_NEW_PROCESS_GROUP)
    process: subprocess.Popen[bytes] = subprocess.Popen(command, **kwargs)
    said: list[bytes] = []
    reader = None
    if not capture_output and process.stdout is not None:
        # Read all the time, or a talkative command would stand still.
        reader = threading.Thread(target=said.extend, args=(process.stdout,), daemon=True)
        reader.start()
    try:
        yield process
    except BaseException:
        _end(process, terminate_timeout, kill_timeout, quietly=True)
        if reader is not None:
            reader.join(kill_timeout)
            sys.stderr.write(b"".join(said).decode(errors="replace"))
        raise
    else:
        _end(process, terminate_timeout, kill_timeout, quietly=False)
    finally:
        if reader is not None:
            reader.join(kill_timeout)
        if process.stdout is not None:
            process.stdout.close()


def _with_the_name(env: Mapping[str, str] | None) -> dict[str, str]:
    """Return an environment whose processes find shoal under the name `distributed`."""
    env = dict(os.environ if env is None else env)
    rest = [part for part in env.get("PYTHONPATH", "").split(os.pathsep) if part]
    env["PYTHONPATH"] = os.pathsep.join(dict.fromkeys([shim_path(), *rest]))
    return env


def _end(process: subprocess.Popen[bytes], terminate: float, kill: float, *, quietly: bool) -> None:
    if process.poll() is not None:
        return
    # On Windows, Ctrl-C goes to a whole console; this one to a group of processes.
    process.send_signal(getattr(signal, "CTRL_BREAK_EVENT", signal.SIGINT))
    try:
        process.wait(terminate)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(kill)
        if not quietly:
            raise
