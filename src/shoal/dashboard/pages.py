"""The pages there are, and the panes that can be shown alone, by the names that others know.

The contents of each are in the page's own sources (`dashboard/src/pages.ts`), under the same names.
"""

from __future__ import annotations

__all__ = ["CLUSTER_MAP", "PAGES", "PANES", "title_of_pane"]

# In the order in which they are listed on the page.
PAGES = (
    "status",
    "workers",
    "tasks",
    "why",
    "search",
    "graph",
    "groups",
    "memory",
    "history",
    "faults",
    "exceptions",
    "code",
    "shuffle",
    "fine",
    "profile",
    "profile-server",
    "system",
    "stealing",
    "events",
    "counters",
    "cluster-map",
    "hardware",
    "gpu",
    "logs",
    "call-stacks",
    "task",
    "worker",
)

# Shown alone at `/individual-NAME`, as notebooks' extensions embed them.
PANES = (
    "task-stream",
    "progress",
    "graph",
    "groups",
    "group-progress",
    "workers-memory",
    "cluster-memory",
    "workers-transfer-bytes",
    "cpu",
    "nprocessing",
    "occupancy",
    "workers",
    "exceptions",
    "bandwidth-types",
    "bandwidth-workers",
    "workers-network",
    "workers-disk",
    "workers-network-timeseries",
    "workers-cpu-timeseries",
    "workers-memory-timeseries",
    "workers-disk-timeseries",
    "memory-by-key",
    "compute-time-per-key",
    "aggregate-time-per-action",
    "scheduler-system",
    "contention",
    "fine-performance-metrics",
    "profile",
    "profile-server",
    "gpu-memory",
    "gpu-utilization",
    "rmm-memory",
    "cluster-map",
    "shuffle",
)

# Where notebooks' extensions find a pane that has an address of its own.
CLUSTER_MAP = "/statics/individual-cluster-map.html"


def title_of_pane(name: str) -> str:
    """Return the title by which notebooks' extensions list a pane.

    Examples
    --------
    >>> title_of_pane("task-stream")
    'Individual Task Stream'
    """
    return f"Individual {name.replace('-', ' ').title()}"
