"""Write the operations of each kind of server into protocol.md. Run it after changing one."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import MagicMock

from shoal.comm.server import Server
from shoal.nanny.nanny import Nanny
from shoal.scheduler.operations import OPERATIONS as OF_SCHEDULER
from shoal.worker.operations import OPERATIONS as OF_WORKER

TARGET = Path(__file__).parent / "protocol.md"
BEGIN, END = "<!-- operations: list_operations.py -->\n", "<!-- end of operations -->\n"


def text() -> str:
    """Return the page with the table as it should be."""
    every = set(Server({}).handlers)
    kinds = {
        "every": every,
        "scheduler": {"stream", *OF_SCHEDULER} - every,
        "worker": set(OF_WORKER) - every,
        "nanny": set(Nanny._make_handlers(MagicMock())) - every,
    }
    rows = ["| server | operations |\n", "|---|---|\n"]
    for kind, names in kinds.items():
        rows.append(f"| {kind} | {', '.join(f'`{name}`' for name in sorted(names))} |\n")
    page = TARGET.read_text(encoding="utf-8")
    start, end = page.index(BEGIN) + len(BEGIN), page.index(END)
    return page[:start] + "".join(rows) + page[end:]


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
