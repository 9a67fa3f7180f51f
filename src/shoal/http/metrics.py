"""The scheduler's numbers for Prometheus, where its client library is there (extra `dashboard`)."""

from __future__ import annotations

import importlib
from typing import Any

from shoal import config

__all__ = ["CONTENT_TYPE", "metrics_text"]


def _library(name: str) -> Any:
    try:
        return importlib.import_module(f"prometheus_client{name}")
    except ImportError:
        return None


_prometheus = _library("")
CONTENT_TYPE: str = "" if _prometheus is None else _prometheus.CONTENT_TYPE_LATEST


def metrics_text(counts: dict[str, Any]) -> bytes:
    """Return what `pages.counts_of` counted, as Prometheus reads it."""
    core = _library(".core")
    space = f"{config.get_str('distributed.dashboard.prometheus.namespace')}_scheduler"
    families = []

    def gauge(name: str, text: str, value: float) -> None:
        families.append(core.GaugeMetricFamily(f"{space}_{name}", text, value=value))

    def by(name: str, text: str, label: str, values: dict[str, float]) -> None:
        family = core.GaugeMetricFamily(f"{space}_{name}", text, labels=[label])
        for each, value in values.items():
            family.add_metric([each], value)
        families.append(family)

    gauge("clients", "Clients that are connected", counts["clients"])
    gauge("threads", "Threads of all workers", counts["threads"])
    gauge("memory_limit_bytes", "Memory that workers may use", counts["memory_limit"])
    gauge("memory_used_bytes", "Memory that workers use", counts["memory"])
    by("workers", "Workers by status", "state", counts["workers_by_status"])
    by("tasks", "Tasks by state", "state", counts["tasks_by_state"])
    suspicious = {name: each["suspicious"] for name, each in counts["prefixes"].items()}
    by("tasks_suspicious", "Runs whose worker died", "task_prefix_name", suspicious)

    class Found:
        @staticmethod
        def collect() -> list[Any]:
            return families

    text: bytes = _prometheus.generate_latest(Found())
    return text
