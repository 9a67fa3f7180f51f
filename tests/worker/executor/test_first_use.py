"""A function's first use imports what it needs, whatever other threads import meanwhile."""

from __future__ import annotations

import contextlib
import importlib
import pickle
import sys
import threading
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
from helpers import wait_until

from shoal.wire.blob import Blob
from shoal.wire.messages import Compute
from shoal.wire.pickling import dumps
from shoal.wire.plain_values import plain_arguments
from shoal.worker.executor.functions import FunctionCache
from shoal.worker.executor.run import prepare

PACKAGE = """
import ring.part
def function(): return "package"
"""
PART = 'def function(): return "part"'


class Slow(SourceFileLoader):
    """Holds the import of the package until another thread is about to import its part."""

    def __init__(self, folder: Path) -> None:
        super().__init__("ring", str(folder / "__init__.py"))
        self.folder = str(folder)
        self.asked = threading.Event()

    def create_module(self, spec: ModuleSpec) -> None:
        self.asked.set()
        locks = importlib._bootstrap._module_locks  # type: ignore[attr-defined]
        with contextlib.suppress(AssertionError):  # no other thread comes
            wait_until(lambda: "ring.part" in locks, timeout=0.3)

    def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
        """Find the package: this is a finder, too."""
        if name != "ring":
            return None
        places = [self.folder]
        return spec_from_file_location(
            name, self.path, loader=self, submodule_search_locations=places
        )


def test_one_thread_imports_a_package_and_another_its_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ring").mkdir()
    (tmp_path / "ring" / "__init__.py").write_text(PACKAGE, encoding="utf-8")
    (tmp_path / "ring" / "part.py").write_text(PART, encoding="utf-8")
    functions = FunctionCache()
    found: list[Any] = []

    def use(name: str) -> None:
        functions.define(name.encode(), Blob(f"c{name}\nfunction\n.".encode()))
        args = pickle.dumps(((), {}), 5)
        compute = Compute("x", 1, name.encode(), args, (0.0, 0, 0), 0.1, False)
        store: Any = None
        try:
            function, _, _ = prepare(compute, functions, store, {})
            found.append(function.call())
        except BaseException as error:
            found.append(error)

    first = threading.Thread(target=use, args=("ring",))
    second = threading.Thread(target=use, args=("ring.part",))
    slow = Slow(tmp_path / "ring")
    monkeypatch.setattr(sys, "meta_path", [slow, *sys.meta_path])
    first.start()
    assert slow.asked.wait(20)
    second.start()
    for thread in (first, second):
        thread.join(20)
    for name in ("ring", "ring.part"):
        sys.modules.pop(name, None)
    assert sorted(map(str, found)) == ["package", "part"]


def test_the_first_arguments_are_plain_or_large_or_neither() -> None:
    large = dumps(((list(range(100_000)),), {}))
    assert large.buffers and not large.data
    plain = plain_arguments((1,))
    assert plain is not None
    for value, blob in (1, Blob(plain)), ({"a": 1}, dumps((({"a": 1},), {}))), (None, large):
        functions = FunctionCache()
        functions.define(b"f", dumps(len))
        compute = Compute("x", 1, b"f", bytes(blob.data), (0.0, 0, 0), 0.1, False)
        compute.buffers = tuple(blob.buffers)
        store: Any = None
        for _ in range(2):  # at first use, and later
            _, args, kwargs = prepare(compute, functions, store, {})
            assert len(args) == 1 and not kwargs
            assert args[0] == value if value else len(args[0]) == 100_000
