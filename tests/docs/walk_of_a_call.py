"""Print, as JSON, which functions of shoal one call passes, in the order of their first calls.

A program of its own: threads that run already, such as a loop that another test left, cannot be
followed from outside before Python 3.12.
"""

from __future__ import annotations

import json
import sys
import threading
from types import FrameType
from typing import Any

from helpers import wait_until

import shoal
from shoal import Client, LocalCluster

SOURCE = str(shoal.__file__).removesuffix("__init__.py")


class Walk:
    """Which functions were called."""

    def __init__(self) -> None:
        self.on = False
        self.passed: dict[tuple[str, str], None] = {}

    def note(self, frame: FrameType, event: str, argument: Any) -> None:
        if not self.on or event != "call":
            return
        code = frame.f_code
        if code.co_filename.startswith(SOURCE):
            self.passed[code.co_filename[len(SOURCE) :], code.co_qualname] = None


def main() -> None:
    def add_one(x: int) -> int:
        return x + 1

    walk = Walk()
    threading.setprofile(walk.note)
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, processes=False, protocol="tcp") as cluster,
        Client(cluster) as client,
    ):
        assert client.submit(add_one, 1).result() == 2  # what happens once only has happened
        wait_until(lambda: not client._session.outbox and not client._session.one_by_one.on)
        sys.setprofile(walk.note)
        walk.on = True
        assert client.submit(add_one, 2).result() == 3
        walk.on = False
        sys.setprofile(None)
    threading.setprofile(None)  # type: ignore[arg-type]
    sys.stdout.write(json.dumps(list(walk.passed)))


if __name__ == "__main__":
    main()
