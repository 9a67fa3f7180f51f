"""Writes docs/transitions.md from the transition tables; a test holds the two in step."""

from __future__ import annotations

from pathlib import Path

from shoal.scheduler.core.transitions.table import TRANSITIONS as SCHEDULER
from shoal.worker.core.transitions import TRANSITIONS as WORKER

TARGET = Path(__file__).with_name("transitions.md")


def text() -> str:
    """Return the page."""
    lines = [
        "# Transitions",
        "",
        "Drawn from the tables in the code by `python docs/draw_transitions.py`; do not edit.",
        "",
        "## A task in the scheduler",
        "",
        "```mermaid",
        "stateDiagram-v2",
        *(f"    {_name(a)} --> {_name(b)}" for a, b in SCHEDULER),
        "```",
        "",
        "| from | to | because |",
        "|---|---|---|",
        *(f"| {a} | {b} | {why} |" for (a, b), why in SCHEDULER.items()),
        "",
        "## A run of a task on a worker",
        "",
        "```mermaid",
        "stateDiagram-v2",
        *(f"    {_name(a)} --> {_name(b)}" for a, targets in WORKER.items() for b in targets),
        "```",
    ]
    return "\n".join(lines) + "\n"


def _name(state: str) -> str:
    return state.replace("-", "_")


if __name__ == "__main__":
    TARGET.write_text(text())
