"""A pool with a loop around it: tasks from functions, and waiting for their outcomes."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence
from typing import Any

from shoal.wire import messages as m
from shoal.wire.pickling import dumps, dumps_bytes
from shoal.wire.placeholder import Dependency
from shoal.worker.core import Outcome, TaskRun
from shoal.worker.executor.functions import FunctionCache
from shoal.worker.executor.pool import ThreadPool
from shoal.worker.store import Store

TIMEOUT = 20


class Bench:
    """Use as an asynchronous context manager."""

    def __init__(self, nthreads: int = 2, **options: Any) -> None:
        self.nthreads = nthreads
        self.options = options
        self.store = Store()
        self.functions = FunctionCache()
        self.outcomes: list[Outcome] = []
        self.batches: list[int] = []
        self.seceded: list[tuple[str, int]] = []
        self.started: list[tuple[str, int]] = []
        self.numbers = itertools.count(1)
        self.changed = asyncio.Event()

    async def __aenter__(self) -> Bench:
        self.pool = ThreadPool(
            self.nthreads,
            functions=self.functions,
            store=self.store,
            loop=asyncio.get_running_loop(),
            on_outcomes=self.on_outcomes,
            on_seceded=self.on_seceded,
            on_started=self.on_started,
            worker="the worker",
            **self.options,
        )
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.pool.close(5)

    def on_outcomes(self, outcomes: list[Outcome]) -> None:
        self.outcomes += outcomes
        self.batches.append(len(outcomes))
        self.changed.set()

    def on_seceded(self, key: str, run: int, elapsed: float) -> None:
        assert elapsed >= 0
        self.seceded.append((key, run))
        self.changed.set()

    def on_started(self, key: str, run: int, elapsed: float) -> None:
        assert elapsed >= 0
        self.started.append((key, run))
        self.changed.set()

    def task(
        self,
        function: Callable[..., Any],
        *args: Any,
        deps: Sequence[str] = (),
        priority: int = 0,
        wanted: bool = True,
        executor: str | None = None,
        actor: bool = False,
        timeout: float = 0.0,
    ) -> TaskRun:
        """A run of `function(*deps, *args)`, not submitted."""
        number = next(self.numbers)
        function_id = str(id(function)).encode()
        self.functions.define(function_id, dumps(function))
        options = None
        if executor or actor or timeout:
            options = m.TaskOptions(executor=executor, actor=actor, timeout=timeout)
        placeholders = [Dependency(i) for i in range(len(deps))]
        compute = m.Compute(
            f"t{number}",
            number,
            function_id,
            dumps_bytes(((*placeholders, *args), None)),
            (0.0, 0, priority),
            1e-5,
            wanted,
            deps=list(deps),
            options=options,
        )
        return TaskRun(compute, compute.key, compute.run)

    def submit(self, function: Callable[..., Any], *args: Any, **options: Any) -> TaskRun:
        task = self.task(function, *args, **options)
        self.pool.submit([task])
        return task

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something that outcomes or secessions bring about."""
        async with asyncio.timeout(TIMEOUT):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    async def outcome(self, task: TaskRun) -> Outcome:
        def found() -> list[Outcome]:
            return [o for o in self.outcomes if (o.key, o.run) == (task.key, task.run)]

        await self.until(lambda: bool(found()))
        [outcome] = found()
        return outcome

    async def run(self, function: Callable[..., Any], *args: Any, **options: Any) -> Outcome:
        return await self.outcome(self.submit(function, *args, **options))
