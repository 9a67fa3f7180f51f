"""Programs that a test writes down and runs as a user would, each in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

__all__ = ["Programs"]

_END = 20.0


class Programs:
    """Programs of one test.

    Parameters
    ----------
    folder : Path
        Where they are written and run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._running: list[subprocess.Popen[str]] = []

    def run(
        self,
        text: str,
        *,
        env: dict[str, str] | None = None,
        under: str = "-m shoal run",
        timeout: float = 120,
    ) -> str:
        """Run a program to its end and return what it wrote; fail when it fails.

        Parameters
        ----------
        text : str
            The program, indented as it may be.
        env : dict, optional
            More variables of its environment.
        under : str
            Words between ``python`` and the program; by default `distributed` is shoal for it.
        timeout : float
            Seconds that it may take.
        """
        process = self.start(text, env=env, under=under)
        try:
            out, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGABRT)
            out, _ = process.communicate(timeout=_END)
            raise AssertionError(f"not done within {timeout} s; it wrote:\n{out}") from None
        assert process.returncode == 0, out
        return out

    def start(
        self, text: str, *, env: dict[str, str] | None = None, under: str = "-m shoal run"
    ) -> subprocess.Popen[str]:
        """Start a program, as `run` does, and return its process."""
        path = self.folder / f"program{len(self._running)}.py"
        path.write_text(textwrap.dedent(text))
        return self.command(sys.executable, *under.split(), str(path), env=env)

    def command(self, *words: str, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
        """Start a command of any kind and return its process."""
        process = subprocess.Popen(
            words,
            cwd=self.folder,
            env={**os.environ, **(env or {}), "PYTHONFAULTHANDLER": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._running.append(process)
        return process

    def says(self, process: subprocess.Popen[str], text: str) -> str:
        """Read what a process writes until a line begins with `text`; return that line."""
        lines = []
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(text):
                return line
            lines.append(line)
        raise AssertionError(f"it ended before it wrote {text!r}:\n{''.join(lines)}")

    def end(self) -> None:
        """End all that still run, and what they started."""
        for process in self._running:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
                try:
                    process.communicate(timeout=_END)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.communicate(timeout=_END)
