"""The scheduler file: address and secret of a running scheduler, for processes that share a
folder.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

__all__ = ["remove_scheduler_file", "write_scheduler_file"]


def write_scheduler_file(path: str, identity: dict[str, Any], secret: str) -> None:
    """Write the file, readable by this user only; readers see it whole or not at all."""
    target = Path(path).absolute()
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=".scheduler-")  # mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump({**identity, "secret": secret}, file, indent=2, default=str)
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise


def remove_scheduler_file(path: str, scheduler_id: str) -> None:
    """Remove the file, unless another scheduler has written it since."""
    try:
        if json.loads(Path(path).read_text(encoding="utf-8")).get("id") == scheduler_id:
            os.unlink(path)
    except (OSError, ValueError):
        pass
