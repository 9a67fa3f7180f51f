"""Operations of the open protocol that a scheduler does on request, by name.

Each is a function whose first argument is the scheduler; the others are fields of the request.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shoal.scheduler.operations import (
    activity,
    copies,
    data,
    dump,
    functions,
    information,
    membership,
    metadata,
    notes,
    plugins,
    progress,
    recipe,
)

__all__ = ["OPERATIONS"]

OPERATIONS: dict[str, Callable[..., Any]] = {
    # information
    "scheduler_info": information.scheduler_info,
    "metrics": information.metrics,
    "memory_by_prefix": information.memory_by_prefix,
    "who_has": information.who_has,
    "has_what": information.has_what,
    "nbytes": information.nbytes,
    "cluster_memory": information.cluster_memory,
    "cluster_summary": information.cluster_summary,
    "nthreads": information.nthreads,
    "ncores": information.nthreads,
    "processing": information.processing,
    "task_status": information.task_status,
    "explain": information.explain_task,
    "story": information.tell_story,
    "task_recipe": recipe.task_recipe,
    "events": information.events,
    "log_event": notes.log_event,
    "get_metadata": notes.get_metadata,
    "set_metadata": notes.set_metadata,
    "start_task_metadata": metadata.start_metadata,
    "stop_task_metadata": metadata.stop_metadata,
    "logs": information.logs,
    "get_logs": information.logs,
    "call_stack": activity.call_stack,
    "profile": activity.profile,
    "task_stream": activity.task_stream,
    "history": activity.history,
    "progress": progress.progress,
    "dump_state": dump.dump_state,
    "dump_cluster_state_to_url": dump.dump_state_to_url,
    "versions": information.versions,
    # data
    "gather": data.gather,
    "scatter": data.scatter,
    "replicate": copies.replicate,
    "rebalance": copies.rebalance,
    "memory_manager": copies.memory_manager,
    # workers
    "broadcast": membership.broadcast,
    "close_worker": membership.close_worker,
    "retire_workers": membership.retire_workers,
    "restart": membership.restart,
    "restart_workers": membership.restart_workers,
    "adaptive_target": membership.adaptive_target,
    "workers_to_close": membership.workers_to_close,
    "take_scale_request": membership.take_scale_request,
    "check_idle": information.check_idle,
    "terminate": membership.terminate,
    "worker_died": membership.worker_died,
    # plugins and topics
    "register_scheduler_plugin": plugins.register_plugin,
    "unregister_scheduler_plugin": plugins.unregister_plugin,
    "register_worker_plugin": plugins.hand_out_plugin,
    "unregister_worker_plugin": plugins.take_back_plugin,
    "worker_plugins": plugins.known_plugins,
    "subscribe_topic": plugins.subscribe_topic,
    "unsubscribe_topic": plugins.unsubscribe_topic,
    # users' functions
    "run_function": functions.run_function,
    "start_ipython": functions.start_ipython,
    "stream_messages": functions.stream_messages,
}
