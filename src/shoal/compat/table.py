"""Which names there are under `distributed`, and what of shoal each stands for. Data only.

Path of a module -> home of names -> the names: ``*`` for all that the home lists in its `__all__`,
``new=old`` for one that is called otherwise at home, ``new=.`` for the home itself. A home of
`shoal` is the public face, which knows where each name lives. Nothing is imported before somebody
asks for the name. A name written out wins over one that a ``*`` gives.
"""

from __future__ import annotations

from shoal.compat.table_small import PARTS

__all__ = ["PROGRAMS", "TABLE"]

TABLE: dict[str, dict[str, str]] = {
    **PARTS,
    "distributed": {
        "dask": "__version__ dask=.",
        "shoal": (
            "Actor ActorFuture BaseActorFuture CancelledError Client CommClosedError "
            "CondaInstall Environ Event Future FutureCancelledError KilledWorker LocalCluster Lock "
            "MultiLock Nanny NannyPlugin PipInstall Pub Queue Reschedule Scheduler SchedulerPlugin "
            "Security Semaphore SSHCluster Sub TimeoutError UploadDirectory UploadFile Variable "
            "Worker WorkerPlugin Adaptive as_completed connect default_client fire_and_forget "
            "futures_of get_client get_task_metadata get_task_stream get_worker local_client "
            "performance_report print progress rejoin rpc secede span wait warn worker_client"
        ),
        "shoal.client.client": "Executor=Client",
        "shoal.plugins.builtin": "InstallPlugin",
        "shoal.core": "Status",
        "shoal.deploy.spec": "SpecCluster",
        "shoal.compat.clusters": "*",
        "shoal._base.loop": "sync",
        "shoal._base.versions": "get_versions=own_versions",
    },
    # -- clients
    "distributed.client": {
        "shoal": (
            "Client Future as_completed default_client fire_and_forget futures_of get_client "
            "get_task_metadata get_task_stream performance_report wait"
        ),
        "shoal.client.futures.waiting": "ALL_COMPLETED FIRST_COMPLETED DoneAndNotDoneFutures",
        "shoal.compat.waiting": (
            "_wait _get_global_client ensure_default_client temp_default_client"
        ),
        "shoal.errors": (
            "CancelledError ClosedClientError FutureCancelledError FuturesCancelledError "
            "TimeoutError"
        ),
        "shoal.client.client": "logger",
    },
    "distributed.cfexecutor": {"shoal": "ClientExecutor"},
    "distributed.actor": {"shoal": "Actor ActorFuture BaseActorFuture"},
    "distributed.event": {"shoal": "Event"},
    "distributed.lock": {"shoal": "Lock"},
    "distributed.multi_lock": {"shoal": "MultiLock"},
    "distributed.pubsub": {"shoal": "Pub Sub"},
    "distributed.queues": {"shoal": "Queue"},
    "distributed.semaphore": {"shoal": "Semaphore"},
    "distributed.variable": {"shoal": "Variable"},
    "distributed.spans": {"shoal": "span"},
    "distributed.worker_client": {
        "shoal": "get_client get_worker local_client rejoin secede worker_client"
    },
    # -- servers
    "distributed.core": {
        "shoal.core": "*",
        "shoal.comm": "Comm Listener listen parse_address normalize_address unparse_host_port",
        "shoal.comm.rpc": "PooledRPCCall=PooledRPC",
        "shoal.compat.addresses": "coerce_to_address",
        "shoal.compat.failures": "clean_exception",
    },
    "distributed.scheduler": {
        "shoal": "Scheduler KilledWorker",
        "shoal.errors": "NoValidWorkerError",
        "shoal.scheduler.views.client": "ClientState",
        "shoal.scheduler.views.group": "Computation TaskGroup TaskPrefix",
        "shoal.scheduler.views.memory": "MemoryState",
        "shoal.scheduler.views.task": "TaskState",
        "shoal.scheduler.views.worker": "WorkerState",
        "shoal.scheduler.scheduler": "logger",
    },
    "distributed.worker": {
        "shoal": "Worker get_client get_worker secede Reschedule",
        "shoal.compat.waiting": "thread_state",
        "shoal.worker.report": "DEFAULT_METRICS DEFAULT_STARTUP_INFORMATION",
        "shoal.worker.worker": "logger",
    },
    "distributed.worker_memory": {
        "shoal._base.system": "parse_memory_limit",
        "shoal.worker.views.memory": "WorkerMemoryManager",
        "shoal.nanny.views": "NannyMemoryManager",
    },
    "distributed.worker_state_machine": {
        "shoal.worker.views.state": "WorkerState",
        "shoal.worker.views.task": "TaskState",
    },
    "distributed.system_monitor": {"shoal.diagnostics.monitor": "SystemMonitor"},
    "distributed.nanny": {
        "shoal": "Nanny",
        "shoal.nanny.nanny": "logger",
    },
    "distributed.preloading": {"shoal.preloading": "*"},
    "distributed.security": {"shoal": "Security"},
    "distributed.exceptions": {"shoal.errors": "*"},
    # -- clusters
    "distributed.deploy": {
        "shoal": "Adaptive LocalCluster SSHCluster",
        "shoal.deploy.cluster": "Cluster",
        "shoal.deploy.spec": "ProcessInterface SpecCluster",
    },
    "distributed.deploy.adaptive": {"shoal": "Adaptive", "shoal.deploy.adaptive": "*"},
    "distributed.deploy.adaptive_core": {"shoal.deploy.adaptive": "AdaptiveCore"},
    "distributed.deploy.cluster": {"shoal.deploy.cluster": "*"},
    "distributed.deploy.local": {
        "shoal.deploy.local": "*",
        "shoal.deploy.sizing": "nprocesses_nthreads",
    },
    "distributed.deploy.spec": {"shoal.deploy.spec": "*"},
    "distributed.deploy.ssh": {"shoal": "SSHCluster"},
    "distributed.deploy.utils": {"shoal.deploy.sizing": "nprocesses_nthreads"},
    # -- connections
    "distributed.comm": {
        "shoal.comm": "*",
        "shoal.comm.addressing": "*",
        "shoal.compat.addresses": "get_tcp_server_address get_tcp_server_addresses",
    },
    "distributed.comm.addressing": {
        "shoal.comm.addressing": "*",
        "shoal.compat.addresses": (
            "address_from_user_args addresses_from_user_args uri_from_host_port"
        ),
    },
    "distributed.comm.core": {
        "shoal.comm.base": "*",
        "shoal.errors": "CommClosedError FatalCommClosedError",
    },
    "distributed.comm.inproc": {"shoal.comm.inproc": "*"},
    "distributed.comm.registry": {"shoal.comm.registry": "*"},
    "distributed.comm.tcp": {
        "shoal.compat.streams": "*",
        "shoal.comm.tcp": "TCPBackend TLSBackend TCPConnector TLSConnector TCPListener TLSListener",
    },
    "distributed.comm.utils": {
        "shoal.compat.messages": "from_frames to_frames ensure_concrete_host"
    },
    "distributed.comm.tests": {},
    "distributed.comm.tests.test_comms": {"shoal.testing.comms": "check_deserialize"},
    # -- command line
    "distributed.cli": {},
    "distributed.cli.utils": {"shoal.cli.signals": "install_signal_handlers"},
    "distributed._signals": {"shoal.cli.signals": "*"},
}

# Modules that are started, `python -m distributed.cli.dask_worker`, -> the command of `shoal`.
PROGRAMS = {
    "distributed.cli.dask_scheduler": "scheduler",
    "distributed.cli.dask_worker": "worker",
}
