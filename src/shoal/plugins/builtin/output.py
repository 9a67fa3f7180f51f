"""`ForwardOutput`: what workers write to their standard output reaches clients."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TextIO

from shoal._base.process_id import process_id
from shoal.plugins.worker import WorkerPlugin

if TYPE_CHECKING:
    from shoal.worker.worker import Worker

__all__ = ["ForwardOutput"]


class ForwardOutput(WorkerPlugin):
    """Have all that workers write to standard output and error written at all clients, too.

    It is of no use together with `shoal.print` in tasks, whose words would come twice. Workers in
    the process of the client forward nothing.

    Examples
    --------
    >>> client.register_plugin(ForwardOutput())  # doctest: +SKIP
    >>> client.submit(print, "Hello from a worker")  # doctest: +SKIP
    Hello from a worker
    """

    def setup(self, worker: Worker) -> None:
        """Take the place of the streams."""
        self._out = _Forwarding(sys.stdout, worker, 1)
        self._err = _Forwarding(sys.stderr, worker, 2)
        sys.stdout, sys.stderr = self._out, self._err

    def teardown(self, worker: Worker) -> None:
        """Give the streams their places back, where nobody else took them meanwhile."""
        if sys.stdout is self._out:
            sys.stdout = self._out.stream
        if sys.stderr is self._err:
            sys.stderr = self._err.stream
        self._out.worker = self._err.worker = None


class _Forwarding:
    """A stream that tells the scheduler what is written to it."""

    def __init__(self, stream: TextIO, worker: Worker, number: int) -> None:
        self.stream = stream
        self.worker: Worker | None = worker
        self._number = number

    def write(self, text: str) -> int:
        """Write here, and have it written at clients."""
        written = self.stream.write(text)
        worker = self.worker
        if text and worker is not None:
            options = {"sep": "", "end": "", "file": self._number, "flush": False}
            said = {"args": [text], "kwargs": options, "process": process_id()}
            try:
                worker.log_event("print", said)
            except RuntimeError:  # the loop is closed: nobody hears it
                self.worker = None
        return written

    def writelines(self, lines: Any) -> None:
        """Write lines, as `write`."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)
