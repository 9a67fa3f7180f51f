"""Writes down which names of `distributed` who looks up; `run.py --names FILE` puts it in front.

Python imports a module of this name when it starts, so workers and jobs are watched as well.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from shoal.compat.facade import Facade

# Who looks on behalf of others, and who is no project.
NOT_THEY = ("importlib", "_frozen_importlib", "shoal", "harness", "__main__", "sitecustomize")


def watch(file: str) -> None:
    """Append a line `name project` for each look-up that is not the same as one before."""
    seen: set[str] = set()
    plain = Facade.__getattribute__

    def look_up(self: Facade, name: str) -> Any:
        if not name.startswith("__") or name == "__version__":
            frame = sys._getframe(1)
            project = str(frame.f_globals.get("__name__")).partition(".")[0]
            line = f"{plain(self, '__name__')}.{name} {project}\n"
            if project not in NOT_THEY and not project.startswith("use_") and line not in seen:
                seen.add(line)
                with open(file, "a") as out:
                    out.write(line)
        return plain(self, name)

    Facade.__getattribute__ = look_up  # type: ignore[method-assign]


if os.environ.get("ECOSYSTEM_NAMES"):
    watch(os.environ["ECOSYSTEM_NAMES"])
