"""Failures with everything that people read of them, however deep."""

from __future__ import annotations

import linecache
import subprocess
import sys
import traceback
from typing import Any

import pytest

from shoal.wire.failures import load_failure, pack_failure


def travelled(function: Any, *args: Any) -> BaseException:
    try:
        function(*args)
    except BaseException as error:
        failure = pack_failure(error)
    return load_failure(failure.exception, failure.traceback, failure.exception_text)


def names_of(error: BaseException) -> list[str]:
    return [frame.name for frame in traceback.extract_tb(error.__traceback__)]


def deep(n: int) -> float:
    return deep(n - 1) if n else 1 / 0


def endless() -> Any:
    return endless()


def chain(length: int) -> None:
    error = ValueError(0)
    for i in range(1, length):
        following = ValueError(i)
        following.__cause__ = error
        error = following
    raise error


def test_frames_and_lines() -> None:
    error = travelled(deep, 20)
    assert isinstance(error, ZeroDivisionError)
    assert names_of(error)[1:] == ["deep"] * 21
    last = traceback.extract_tb(error.__traceback__)[-1]
    assert last.filename == __file__ and last.line == "return deep(n - 1) if n else 1 / 0"
    assert "^" not in "".join(traceback.format_exception(error))  # the columns are not known


def test_endless_recursion() -> None:
    error = travelled(endless)
    assert isinstance(error, RecursionError)
    names = names_of(error)
    assert len(names) > 500 and set(names[1:]) == {"endless"}
    assert "Previous line repeated" in "".join(traceback.format_exception(error))


@pytest.mark.parametrize("length", [1, 3, 100, 3000])
def test_chains_of_causes(length: int) -> None:
    error: BaseException | None = travelled(chain, length)
    assert isinstance(error, ValueError) and error.args == (length - 1,)
    found = 0
    while error is not None:
        found, error = found + 1, error.__cause__
    # Before 3.13 a chain that is deeper than Python's stack is cut.
    assert found == length or (length >= 1000 and found == 31)


def test_lines_of_files_that_are_not_here(tmp_path: Any) -> None:
    """Somebody packs a failure in a module that only he has."""
    module = tmp_path / "only_there.py"
    module.write_text("def fail():\n    raise KeyError('gone')  # told\n")
    script = (
        "import pickle, sys, only_there\n"
        "from shoal.wire.failures import pack_failure\n"
        "try: only_there.fail()\n"
        "except KeyError as error: failure = pack_failure(error)\n"
        "blobs = failure.exception, failure.traceback\n"
        "sys.stdout.buffer.write(pickle.dumps([(b.data, b.buffers) for b in blobs]))\n"
    )
    packed = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, check=True, timeout=60
    ).stdout
    module.unlink()
    import pickle

    from shoal.wire.blob import Blob

    exception, frames = (Blob(*parts) for parts in pickle.loads(packed))
    try:
        error = load_failure(exception, frames, "")
        text = "".join(traceback.format_exception(error))
        assert "raise KeyError('gone')  # told" in text and str(module) in text
        linecache.checkcache()
        assert "# told" in "".join(traceback.format_exception(error))
    finally:
        linecache.cache.pop(str(module), None)
