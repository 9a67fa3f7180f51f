"""CPython's own tests of executors, run against ours where the interpreter brings them.

Debian has them in the package `libpython3-testsuite`; python.org's and pyenv's builds bring them.
Left out are tests of threads and processes as such, and those that start another interpreter.
"""

from __future__ import annotations

import importlib
import unittest
from collections.abc import Iterator
from typing import Any

import pytest
from helpers import wait_until

from shoal import Client
from shoal.client.futures.executor import ClientExecutor


def _module(*names: str) -> Any:
    for name in names:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    return None


_ALL = "test.test_concurrent_futures"  # one module up to 3.11, a package since
_EXECUTOR = _module(f"{_ALL}.executor", _ALL)
_WAIT = _module(f"{_ALL}.test_wait", _ALL)
_COMPLETED = _module(f"{_ALL}.test_as_completed", _ALL)
_SHUTDOWN = _module(f"{_ALL}.test_shutdown", _ALL)

_LEFT_OUT = {
    "test_max_workers_negative": "of the constructor's argument",
    "test_interpreter_shutdown": "starts another interpreter",
    "test_submit_after_interpreter_shutdown": "starts another interpreter",
    "test_hang_gh83386": "starts another interpreter",
    "test_hang_gh94440": "is about pools of processes",
    "test_free_reference": "is about references inside this process; ours are on workers",
    "test_no_stale_references": "is about references inside this process; ours are on workers",
    "test_free_reference_yielded_future": "is about references inside this process",
    "test_map_buffersize_type_validation": "`buffersize` is of 3.14's own base class",
}

_client: Client


class _Begun(ClientExecutor):
    """Cancels only once something runs, which CPython's tests expect to be so at once."""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        if cancel_futures:
            pending = list(self._pending)
            wait_until(lambda: not pending or any(c.running() or c.done() for c in pending))
        super().shutdown(wait, cancel_futures=cancel_futures)


@pytest.fixture(scope="module", autouse=True)
def client() -> Iterator[Client]:
    global _client
    with Client(
        processes=False, n_workers=1, threads_per_worker=5, dashboard_address=None
    ) as _client:
        yield _client


def _cases() -> list[Any]:
    found = []
    for module, name in (
        (_EXECUTOR, "ExecutorTest"),
        (_WAIT, "WaitTests"),
        (_COMPLETED, "AsCompletedTests"),
        (_SHUTDOWN, "ExecutorShutdownTest"),
    ):
        tests = getattr(module, name, None)
        if tests is None:
            continue

        class Adapted(tests, unittest.TestCase):
            worker_count = 5

            def setUp(self) -> None:
                self.executor = _Begun(_client, pure=False)

            def tearDown(self) -> None:
                self.executor.shutdown(wait=True)

        for test in sorted(dir(tests)):
            if test.startswith("test") and test not in _LEFT_OUT:
                found.append(pytest.param(Adapted, test, id=f"{name}.{test}"))
    return found


CASES = _cases()


@pytest.mark.skipif(bool(CASES), reason="they are there")
def test_cpythons_tests_are_not_there() -> None:
    """Without them the documented behaviour is tested in `test_executor`."""
    assert _EXECUTOR is None or not hasattr(_EXECUTOR, "ExecutorTest")


@pytest.mark.parametrize(("tests", "name"), CASES)
def test_cpython(tests: Any, name: str) -> None:
    result = unittest.TestResult()
    tests(name).run(result)
    problems = [text for _, text in (*result.errors, *result.failures)]
    assert not problems, problems[0]
