"""shoal: functions and task graphs on many processes and machines.

The public names, and nothing else. Each is loaded when it is first asked for, so `import shoal`
costs next to nothing and a scheduler's process never loads what only a client needs. Submodules
(`shoal.comm`, `shoal.config`, ...) are public where the documentation names them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the same names for type checkers, which cannot follow the table
    from shoal.actors.actor import Actor
    from shoal.actors.future import ActorFuture, BaseActorFuture
    from shoal.cache.cached import cached
    from shoal.cache.durable import durable
    from shoal.cache.store import Store
    from shoal.client.admin.dump import DumpArtefact
    from shoal.client.client import Client
    from shoal.client.collections.checkpoint import checkpoint
    from shoal.client.finding import default_client, get_client
    from shoal.client.futures.as_completed import as_completed
    from shoal.client.futures.executor import ClientExecutor
    from shoal.client.futures.future import Future, fire_and_forget, futures_of
    from shoal.client.futures.waiting import wait
    from shoal.client.in_task.worker_client import local_client, worker_client
    from shoal.client.observe.activity import get_task_stream
    from shoal.client.observe.memory_sampler import MemorySampler
    from shoal.client.observe.performance_report import performance_report
    from shoal.client.observe.progress import progress
    from shoal.client.observe.span import span
    from shoal.client.observe.task_metadata import get_task_metadata
    from shoal.client.observe.worker_print import print, warn
    from shoal.client.submission.limits import Retry
    from shoal.comm import connect
    from shoal.compat.switch import install_as_distributed
    from shoal.coordination.event import Event
    from shoal.coordination.lock import Lock
    from shoal.coordination.multi_lock import MultiLock
    from shoal.coordination.pubsub import Pub, Sub
    from shoal.coordination.queue import Queue
    from shoal.coordination.semaphore import Semaphore
    from shoal.coordination.stream import StreamFuture
    from shoal.coordination.variable import Variable
    from shoal.core import rpc
    from shoal.deploy.adaptive import Adaptive
    from shoal.deploy.local import LocalCluster
    from shoal.deploy.slurm.cluster import SlurmCluster
    from shoal.deploy.spec import SpecCluster
    from shoal.deploy.ssh import SSHCluster
    from shoal.errors import (
        ActorLostError,
        CancelledError,
        CommClosedError,
        DataLostError,
        FutureCancelledError,
        KilledWorker,
        NoValidWorkerError,
        RemoteError,
        Reschedule,
        TaskInterrupted,
        TaskTimeout,
        TimeoutError,
        WorkerStartTimeoutError,
    )
    from shoal.nanny.nanny import Nanny
    from shoal.plugins.builtin.environ import Environ
    from shoal.plugins.builtin.install import CondaInstall, PipInstall
    from shoal.plugins.builtin.upload import UploadDirectory, UploadFile
    from shoal.plugins.nanny import NannyPlugin
    from shoal.plugins.scheduler import SchedulerPlugin
    from shoal.plugins.worker import WorkerPlugin
    from shoal.scheduler.scheduler import Scheduler
    from shoal.security import Security
    from shoal.task_context import get_worker, rejoin, secede
    from shoal.worker.worker import Worker

__version__ = "0.2.0"

# Public name -> module that defines it. A test holds it, `__all__` and the imports above in step.
_WHERE = {
    # client
    "Client": "shoal.client.client",
    "ClientExecutor": "shoal.client.futures.executor",
    "Future": "shoal.client.futures.future",
    "MemorySampler": "shoal.client.observe.memory_sampler",
    "as_completed": "shoal.client.futures.as_completed",
    "default_client": "shoal.client.finding",
    "fire_and_forget": "shoal.client.futures.future",
    "futures_of": "shoal.client.futures.future",
    "get_client": "shoal.client.finding",
    "get_task_metadata": "shoal.client.observe.task_metadata",
    "performance_report": "shoal.client.observe.performance_report",
    "Retry": "shoal.client.submission.limits",
    "progress": "shoal.client.observe.progress",
    # results that outlive the cluster
    "Store": "shoal.cache.store",
    "cached": "shoal.cache.cached",
    "checkpoint": "shoal.client.collections.checkpoint",
    "durable": "shoal.cache.durable",
    "span": "shoal.client.observe.span",
    "wait": "shoal.client.futures.waiting",
    # actors
    "Actor": "shoal.actors.actor",
    "ActorFuture": "shoal.actors.future",
    "BaseActorFuture": "shoal.actors.future",
    # coordination
    "Event": "shoal.coordination.event",
    "Lock": "shoal.coordination.lock",
    "MultiLock": "shoal.coordination.multi_lock",
    "Pub": "shoal.coordination.pubsub",
    "Queue": "shoal.coordination.queue",
    "Semaphore": "shoal.coordination.semaphore",
    "StreamFuture": "shoal.coordination.stream",
    "Sub": "shoal.coordination.pubsub",
    "Variable": "shoal.coordination.variable",
    # inside tasks
    "Reschedule": "shoal.errors",
    "get_worker": "shoal.task_context",
    "local_client": "shoal.client.in_task.worker_client",
    "print": "shoal.client.observe.worker_print",
    "rejoin": "shoal.task_context",
    "secede": "shoal.task_context",
    "warn": "shoal.client.observe.worker_print",
    "worker_client": "shoal.client.in_task.worker_client",
    # the parts of a cluster
    "Adaptive": "shoal.deploy.adaptive",
    "LocalCluster": "shoal.deploy.local",
    "SSHCluster": "shoal.deploy.ssh",
    "SlurmCluster": "shoal.deploy.slurm.cluster",
    "SpecCluster": "shoal.deploy.spec",
    "Nanny": "shoal.nanny.nanny",
    "Scheduler": "shoal.scheduler.scheduler",
    "Security": "shoal.security",
    "Worker": "shoal.worker.worker",
    # communication
    "connect": "shoal.comm",
    "rpc": "shoal.core",
    # plugins
    "SchedulerPlugin": "shoal.plugins.scheduler",
    "WorkerPlugin": "shoal.plugins.worker",
    "NannyPlugin": "shoal.plugins.nanny",
    "PipInstall": "shoal.plugins.builtin.install",
    "CondaInstall": "shoal.plugins.builtin.install",
    "UploadFile": "shoal.plugins.builtin.upload",
    "UploadDirectory": "shoal.plugins.builtin.upload",
    "Environ": "shoal.plugins.builtin.environ",
    # the name `distributed`
    "install_as_distributed": "shoal.compat.switch",
    "get_task_stream": "shoal.client.observe.activity",
    "DumpArtefact": "shoal.client.admin.dump",
    # errors
    "ActorLostError": "shoal.errors",
    "CancelledError": "shoal.errors",
    "CommClosedError": "shoal.errors",
    "DataLostError": "shoal.errors",
    "FutureCancelledError": "shoal.errors",
    "KilledWorker": "shoal.errors",
    "NoValidWorkerError": "shoal.errors",
    "RemoteError": "shoal.errors",
    "TaskInterrupted": "shoal.errors",
    "TaskTimeout": "shoal.errors",
    "TimeoutError": "shoal.errors",
    "WorkerStartTimeoutError": "shoal.errors",
}

__all__ = [
    "Actor",
    "ActorFuture",
    "ActorLostError",
    "Adaptive",
    "BaseActorFuture",
    "CancelledError",
    "Client",
    "ClientExecutor",
    "CommClosedError",
    "CondaInstall",
    "DataLostError",
    "DumpArtefact",
    "Environ",
    "Event",
    "Future",
    "FutureCancelledError",
    "KilledWorker",
    "LocalCluster",
    "Lock",
    "MemorySampler",
    "MultiLock",
    "Nanny",
    "NannyPlugin",
    "NoValidWorkerError",
    "PipInstall",
    "Pub",
    "Queue",
    "RemoteError",
    "Reschedule",
    "Retry",
    "SSHCluster",
    "Scheduler",
    "SchedulerPlugin",
    "Security",
    "Semaphore",
    "SlurmCluster",
    "SpecCluster",
    "Store",
    "StreamFuture",
    "Sub",
    "TaskInterrupted",
    "TaskTimeout",
    "TimeoutError",
    "UploadDirectory",
    "UploadFile",
    "Variable",
    "Worker",
    "WorkerPlugin",
    "WorkerStartTimeoutError",
    "__version__",
    "as_completed",
    "cached",
    "checkpoint",
    "connect",
    "default_client",
    "durable",
    "fire_and_forget",
    "futures_of",
    "get_client",
    "get_task_metadata",
    "get_task_stream",
    "get_worker",
    "install_as_distributed",
    "local_client",
    "performance_report",
    "print",
    "progress",
    "rejoin",
    "rpc",
    "secede",
    "span",
    "wait",
    "warn",
    "worker_client",
]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        value = getattr(importlib.import_module(_WHERE[name]), name)
        globals()[name] = value
        return value
    if not name.startswith("_"):
        # `import shoal; shoal.config`, as with packages that load everything at once.
        try:
            return importlib.import_module(f"shoal.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"shoal.{name}":
                raise
    raise AttributeError(f"module 'shoal' has no attribute {name!r}")


def __dir__() -> list[str]:
    module = ("__doc__", "__file__", "__name__", "__path__", "__spec__")
    return sorted([*module, *__all__])
