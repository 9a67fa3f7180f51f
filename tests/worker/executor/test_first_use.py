"""A function's first use imports what it needs, whatever other threads import meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import pickle
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
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
from shoal.worker.executor.functions import Function, FunctionCache
from shoal.worker.executor.run import prepare
from shoal.worker.transfer import unpack_values

PACKAGE = """
import {name}.part
def function(): return "package"
"""
PART = 'def function(): return "part"'


class Slow(SourceFileLoader):
    """Holds the import of the package until another thread is about to import its part."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder.name, str(folder / "__init__.py"))
        self.folder = str(folder)
        self.asked = threading.Event()

    def create_module(self, spec: ModuleSpec) -> None:
        self.asked.set()
        locks = importlib._bootstrap._module_locks  # type: ignore[attr-defined]
        with contextlib.suppress(AssertionError):  # no other thread comes
            wait_until(lambda: f"{self.name}.part" in locks, timeout=0.3)

    def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
        """Find the package: this is a finder, too."""
        if name != self.name:
            return None
        places = [self.folder]
        return spec_from_file_location(
            name, self.path, loader=self, submodule_search_locations=places
        )


@pytest.fixture
def slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Slow]:
    """Make a package whose import waits for another thread to import its part."""
    # The locks of modules stay, so each test has its own.
    name = f"ring_{tmp_path.name}"
    folder = tmp_path / name
    folder.mkdir()
    (folder / "__init__.py").write_text(PACKAGE.format(name=name), encoding="utf-8")
    (folder / "part.py").write_text(PART, encoding="utf-8")
    slow = Slow(folder)
    monkeypatch.setattr(sys, "meta_path", [slow, *sys.meta_path])
    yield slow
    for module in (name, f"{name}.part"):
        sys.modules.pop(module, None)


def pickled(module: str) -> bytes:
    """Return the pickle of a module's function, which need not be imported for that."""
    return f"c{module}\nfunction\n.".encode()


def first_use(module: str) -> Any:
    """Use a module's function for the first time."""
    functions = FunctionCache()
    functions.define(b"f", Blob(pickled(module)))
    return run(functions, pickle.dumps(((), {}), 5))


def argument(module: str) -> Any:
    """Give a module's function to a function that was used before."""
    functions = FunctionCache()
    functions.loaded[b"f"] = Function(lambda given: given())
    return run(functions, b"\x80\x05((" + pickled(module)[:-1] + b"t}t.")


def run(functions: FunctionCache, args: bytes) -> Any:
    store: Any = None
    compute = Compute("x", 1, b"f", args, (0.0, 0, 0), 0.1, False)
    function, given, _ = prepare(compute, functions, store, {})
    return function.call(*given)


def value(module: str) -> Any:
    """Get a module's function from another worker."""
    values = asyncio.run(unpack_values({"x": Blob(pickled(module))}))
    return values["x"]()


@pytest.mark.parametrize("other", [first_use, argument, value])
def test_one_thread_imports_a_package_and_another_its_part(
    slow: Slow, other: Callable[[str], Any]
) -> None:
    with ThreadPoolExecutor(2) as threads:
        whole = threads.submit(first_use, slow.name)
        assert slow.asked.wait(20)
        part = threads.submit(other, f"{slow.name}.part")
        assert (whole.result(20), part.result(20)) == ("package", "part")


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
