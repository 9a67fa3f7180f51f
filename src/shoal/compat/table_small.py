"""The second half of the table of `table`: serialization, diagnostics, and all that is small."""

from __future__ import annotations

__all__ = ["PARTS"]

_LOOP = "LoopRunner SyncMethodMixin sync"

PARTS: dict[str, dict[str, str]] = {
    # -- serialization
    "distributed.protocol": {
        "shoal.wire.serialize": "*",
        "shoal.wire.serialize.families": "pickle_dumps=_pickle_dumps pickle_loads=_pickle_loads",
        "shoal.compat.messages": "dumps loads",
    },
    "distributed.protocol.core": {"shoal.compat.messages": "dumps loads"},
    "distributed.protocol.cuda": {"shoal.compat.devices": "cuda_deserialize cuda_serialize"},
    "distributed.protocol.pickle": {"shoal.compat.pickles": "*"},
    "distributed.protocol.serialize": {
        "shoal.wire.serialize": "*",
        "shoal.wire.serialize.families": "pickle_dumps=_pickle_dumps pickle_loads=_pickle_loads",
    },
    "distributed.protocol.utils": {"shoal.compat.messages": "host_array"},
    # -- shuffles
    "distributed.shuffle": {"shoal.client.collections.rechunk": "rechunk_p2p"},
    "distributed.shuffle._arrow": {"shoal.shuffle.specs": "check_dtype_support"},
    "distributed.shuffle._core": {
        "shoal.shuffle.specs": "P2PBarrierTask ShuffleId barrier_key id_from_key p2p_barrier"
    },
    "distributed.shuffle._merge": {"shoal.shuffle.tasks": "merge_transfer merge_unpack"},
    "distributed.shuffle._rechunk": {
        "shoal.client.collections.rechunk": "rechunk_p2p",
        "shoal.compat.shuffle": (
            "_calculate_prechunking _split_partials partial_concatenate partial_rechunk"
        ),
    },
    "distributed.shuffle._shuffle": {
        "shoal.shuffle.specs": "DataFrameShuffleSpec",
        "shoal.shuffle.tasks": "shuffle_transfer shuffle_unpack",
    },
    # -- diagnostics and plugins
    "distributed.diagnostics": {"shoal": "MemorySampler progress", "shoal.plugins": "*"},
    "distributed.diagnostics.memory_sampler": {"shoal": "MemorySampler"},
    "distributed.diagnostics.nvml": {"shoal.compat.devices": "*"},
    "distributed.diagnostics.plugin": {
        "shoal": (
            "CondaInstall Environ NannyPlugin PipInstall SchedulerPlugin UploadDirectory "
            "UploadFile WorkerPlugin"
        ),
        "shoal.plugins": "*",
        "shoal.plugins.builtin": "*",
    },
    "distributed.chaos": {"shoal.plugins.builtin": "KillWorker"},
    "distributed.diagnostics.progressbar": {
        "shoal": "progress",
        "shoal.client.observe.progress": "* ProgressBar TextProgressBar",
    },
    # The base class of handlers in modules with routes of their own.
    "distributed.http": {"shoal.http.user_routes": "RequestHandler=DaskHandler"},
    "distributed.http.utils": {"shoal.http.user_routes": "RequestHandler=DaskHandler"},
    "distributed.objects": {"shoal.compat.objects": "*"},
    "distributed.proctitle": {"shoal.compat.proctitle": "*"},
    # -- this process and this machine
    "distributed._version": {"dask": "__version__"},
    "distributed.compatibility": {"shoal.compat.runtime": "LINUX MACOS WINDOWS asyncio_run"},
    "distributed.config": {
        "shoal.config": "*",
        "shoal.compat.runtime": "get_loop_factory",
        "dask.config": "config get set",
    },
    "distributed.metrics": {"time": "monotonic perf_counter process_time thread_time time"},
    "distributed.sizeof": {"shoal.compat.sizes": "*"},
    "distributed.spill": {"shoal.compat.spill": "*"},
    "distributed.system": {"shoal.compat.runtime": "CPU_COUNT MEMORY_LIMIT memory_limit"},
    "distributed.utils": {
        "dask.utils": (
            "apply ensure_bytes format_bytes format_time funcname itemgetter key_split "
            "parse_bytes parse_timedelta tmpfile typename"
        ),
        "shoal._base.loop": _LOOP,
        "shoal._base.network": "*",
        "shoal.cli.parsing": "parse_ports",
        "shoal.compat.addresses": "ensure_ip format_dashboard_link open_port",
        "shoal.compat.failures": "log_errors",
        "shoal.compat.inspection": "*",
        "shoal.compat.sizes": "nbytes",
        "shoal.compat.timing": "*",
        "shoal.compat.waiting": "thread_state",
        "shoal.deploy.logs": "*",
        "shoal.errors": "CancelledError TimeoutError",
    },
    "distributed.utils_comm": {"shoal.compat.graphs": "*"},
    "distributed.versions": {"shoal._base.versions": "get_versions=own_versions"},
    # -- tests
    "distributed.utils_test": {"shoal.testing": "*"},
}
