"""Make `dashboard.json`: `python deploy/grafana/make_dashboard.py` writes it anew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

TARGET = Path(__file__).with_name("dashboard.json")
SOURCE = {"type": "prometheus", "uid": "${source}"}
RATE = "[$__rate_interval]"
BY_PREFIX = "sum by (task_prefix_name)"
S = '{instance=~"$scheduler"}'
W = '{instance=~"$worker"}'


ERRED = '{state="erred", instance=~"$scheduler"}'
NO_WORKER = '{state="no-worker", instance=~"$scheduler"}'
DONE = '{state="memory", instance=~"$scheduler"}'


# (title, unit, kind, width, [(query, legend), ...]); a text alone begins a row.
PANELS: list[Any] = [
    "Cluster",
    ("Workers", "short", "stat", 4, [(f"sum(dask_scheduler_workers{S})", "")]),
    ("Workers wanted", "short", "stat", 4, [(f"sum(dask_scheduler_desired_workers{S})", "")]),
    ("Clients", "short", "stat", 4, [(f"sum(dask_scheduler_clients{S})", "")]),
    ("Tasks", "short", "stat", 4, [(f"sum(dask_scheduler_tasks{S})", "")]),
    ("Failed", "short", "stat", 4, [(f"sum(dask_scheduler_tasks{ERRED})", "")]),
    (
        "Without a fitting worker",
        "short",
        "stat",
        4,
        [(f"sum(dask_scheduler_tasks{NO_WORKER})", "")],
    ),
    (
        "Tasks by state",
        "short",
        "stacked",
        12,
        [(f"sum by (state) (dask_scheduler_tasks{S})", "{{state}}")],
    ),
    (
        "Workers by state",
        "short",
        "stacked",
        12,
        [(f"sum by (state) (dask_scheduler_workers{S})", "{{state}}")],
    ),
    (
        "Tasks done a second",
        "ops",
        "stacked",
        12,
        [
            (
                "sum by (task_prefix_name) (rate(dask_scheduler_prefix_state_totals_total"
                f"{DONE}[$__rate_interval]))",
                "{{task_prefix_name}}",
            )
        ],
    ),
    (
        "Seconds of computing a second",
        "s",
        "stacked",
        12,
        [
            (
                f"{BY_PREFIX} (rate(dask_scheduler_tasks_compute_seconds_total{S}{RATE}))",
                "{{task_prefix_name}}",
            )
        ],
    ),
    (
        "Seconds of transfers a second",
        "s",
        "stacked",
        12,
        [
            (
                f"{BY_PREFIX} (rate(dask_scheduler_tasks_transfer_seconds_total{S}{RATE}))",
                "{{task_prefix_name}}",
            )
        ],
    ),
    (
        "Bytes of results",
        "bytes",
        "stacked",
        12,
        [
            (
                f"sum by (task_prefix_name) (dask_scheduler_tasks_output_bytes{S})",
                "{{task_prefix_name}}",
            )
        ],
    ),
    (
        "Faults",
        "short",
        "lines",
        12,
        [
            (
                f"sum(increase(dask_scheduler_tasks_suspicious_total{S}[$__rate_interval]))",
                "deaths while a task ran",
            ),
            (
                f"sum(increase(dask_scheduler_workers_removed_total{S}[$__rate_interval]))",
                "workers gone",
            ),
            (
                f"sum(increase(dask_scheduler_client_connections_removed_total{S}[$__rate_interval]))",
                "clients gone",
            ),
        ],
    ),
    (
        "Work given to others (stealing)",
        "short",
        "lines",
        12,
        [
            (
                f"sum(increase(dask_stealing_request_count_total{S}[$__rate_interval]))",
                "tasks asked back",
            ),
        ],
    ),
    "Scheduler's process",
    (
        "Processor",
        "percentunit",
        "lines",
        8,
        [(f"rate(process_cpu_seconds_total{S}[$__rate_interval])", "{{instance}}")],
    ),
    ("Memory", "bytes", "lines", 8, [(f"process_resident_memory_bytes{S}", "{{instance}}")]),
    (
        "Longest delay of the event loop",
        "s",
        "lines",
        8,
        [(f"dask_scheduler_tick_duration_maximum_seconds{S}", "{{instance}}")],
    ),
    "Workers",
    (
        "Memory",
        "bytes",
        "stacked",
        12,
        [(f"sum by (type) (dask_worker_memory_bytes{W})", "{{type}}")],
    ),
    (
        "Memory of each",
        "bytes",
        "lines",
        12,
        [(f"process_resident_memory_bytes{W}", "{{instance}}")],
    ),
    ("Tasks", "short", "stacked", 12, [(f"sum by (state) (dask_worker_tasks{W})", "{{state}}")]),
    (
        "Processor of each",
        "percentunit",
        "lines",
        12,
        [(f"rate(process_cpu_seconds_total{W}[$__rate_interval])", "{{instance}}")],
    ),
    (
        "Sent to other workers",
        "Bps",
        "lines",
        12,
        [(f"rate(dask_worker_transfer_outgoing_bytes_total{W}[$__rate_interval])", "{{instance}}")],
    ),
    (
        "Disk and memory",
        "Bps",
        "stacked",
        12,
        [
            (
                f"sum by (activity) (rate(dask_worker_spill_bytes_total{W}[$__rate_interval]))",
                "{{activity}}",
            )
        ],
    ),
    (
        "Waiting for the interpreter's lock",
        "percentunit",
        "lines",
        12,
        [(f"rate(dask_worker_gil_contention_seconds_total{W}[$__rate_interval])", "{{instance}}")],
    ),
    (
        "Longest delay of the event loop",
        "s",
        "lines",
        12,
        [(f"dask_worker_tick_duration_maximum_seconds{W}", "{{instance}}")],
    ),
    "Semaphores",
    (
        "Leases",
        "short",
        "lines",
        12,
        [
            (f"sum by (name) (dask_semaphore_active_leases{S})", "{{name}}: taken"),
            (f"sum by (name) (dask_semaphore_pending_leases{S})", "{{name}}: waiting"),
            (f"sum by (name) (dask_semaphore_max_leases{S})", "{{name}}: there are"),
        ],
    ),
    (
        "Time to a lease",
        "s",
        "lines",
        12,
        [(f"dask_semaphore_average_pending_lease_time_s{S}", "{{name}}")],
    ),
]


def panels() -> list[dict[str, Any]]:
    """Return all panels, in lines of 24 columns."""
    made: list[dict[str, Any]] = []
    x = y = height = 0
    for number, each in enumerate(PANELS, 1):
        if isinstance(each, str):
            y, x = y + height, 0
            made.append(
                {
                    "id": number,
                    "type": "row",
                    "title": each,
                    "collapsed": False,
                    "panels": [],
                    "gridPos": {"x": 0, "y": y, "w": 24, "h": 1},
                }
            )
            y, height = y + 1, 0
            continue
        title, unit, kind, width, queries = each
        if x + width > 24:
            x, y, height = 0, y + height, 0
        tall = 4 if kind == "stat" else 8
        custom = {"stacking": {"mode": "normal"}, "fillOpacity": 30} if kind == "stacked" else {}
        made.append(
            {
                "id": number,
                "type": "stat" if kind == "stat" else "timeseries",
                "title": title,
                "datasource": SOURCE,
                "gridPos": {"x": x, "y": y, "w": width, "h": tall},
                "fieldConfig": {
                    "defaults": {"unit": unit, "min": 0, "custom": custom},
                    "overrides": [],
                },
                "options": {} if kind == "stat" else {"tooltip": {"mode": "multi", "sort": "desc"}},
                "targets": [
                    {
                        "refId": chr(ord("A") + i),
                        "expr": query,
                        "legendFormat": legend,
                        "datasource": SOURCE,
                    }
                    for i, (query, legend) in enumerate(queries)
                ],
            }
        )
        x, height = x + width, max(height, tall)
    return made


def variable(name: str, label: str, metric: str) -> dict[str, Any]:
    """Return a choice of instances that tell a metric."""
    query = f"label_values({metric}, instance)"
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": SOURCE,
        "query": query,
        "definition": query,
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "current": {"text": "All", "value": "$__all"},
    }


def dashboard() -> dict[str, Any]:
    """Return the whole dashboard."""
    return {
        "title": "Dask clusters (shoal)",
        "uid": "shoal-clusters",
        "tags": ["dask", "shoal"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "15s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {
            "list": [
                {
                    "name": "source",
                    "label": "Data source",
                    "type": "datasource",
                    "query": "prometheus",
                },
                variable("scheduler", "Scheduler", "dask_scheduler_clients"),
                variable("worker", "Worker", "dask_worker_threads"),
            ]
        },
        "panels": panels(),
    }


if __name__ == "__main__":
    TARGET.write_text(json.dumps(dashboard(), indent=1) + "\n", encoding="utf-8")
