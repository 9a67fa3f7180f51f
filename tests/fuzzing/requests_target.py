"""Requests (`op` and arguments) to a scheduler, a worker and a nanny, mutated; on real connections.

A member sends them, one after the other, while a client works on the same cluster. After each the
invariants of all cores hold, and the client gets its results; nothing is logged as an error. What
one is asked for may be to close: that ends the episode.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from random import Random
from typing import Any

import msgspec
from fuzzing.mutation import Mutator

from shoal import Client, Nanny, Scheduler, Worker
from shoal.comm import Comm, connect
from shoal.scheduler.core.invariants import check as check_scheduler
from shoal.wire.blob import Blob
from shoal.wire.pickling import dumps
from shoal.worker.core.invariants import check as check_worker

__all__ = ["Episode", "replay"]

_ANSWER = 0.2  # seconds to wait for an answer; some operations wait for what does not come
_SERVED = 15.0
_EVERY = 10  # requests between two looks whether the client is served
# Errors of a plugin that cannot be opened, of a message without a handler, and of a nanny
# without the time for what it is asked for.
_SAID = ("failed in setup", "has no stream handler", "Restarting the worker")
# These may close what they are sent to, when they are sent as they should be.
_CLOSING = frozenset({"close_worker", "retire_workers", "restart_workers", "restart", "terminate"})


def inc(x: int) -> int:
    return x + 1


class Idle(Nanny):
    """A nanny without a process."""

    async def instantiate(self) -> str:
        return "running"


class _Errors(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = logging.Formatter().format(record)
        if not any(said in text for said in _SAID):
            self.found.append(text)


class World:
    """A cluster, a client that works on it, and a member that sends what it likes."""

    def __init__(self, steps: list[list[Any]]) -> None:
        self.steps = steps
        self.over = False
        self._comms: dict[str, Comm] = {}
        self._errors = _Errors()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> World:
        for name in ("shoal", "asyncio"):
            logging.getLogger(name).addHandler(self._errors)
        enter = self._stack.enter_async_context
        self.scheduler = await enter(Scheduler(protocol="ipc", dashboard=False, validate=True))
        where = self.scheduler.address
        self.workers = [
            await enter(Worker(where, nthreads=1, name=f"w{i}", validate=True)) for i in range(2)
        ]
        self.nanny = await enter(Idle(where, nthreads=1))
        self.client = await enter(Client(where, asynchronous=True, set_as_default=False))
        self.kept = await self.client.scatter([1, 2, 3])
        self.sums = self.client.map(inc, self.kept, key=["a", "b", "('x', 0)"])
        await self.client.gather(self.sums)
        self.servers = {
            "scheduler": self.scheduler,
            "worker": self.workers[0],
            "nanny": self.nanny,
        }
        return self

    async def __aexit__(self, *exc_info: Any) -> None:
        for comm in self._comms.values():
            comm.abort()
        await self._stack.aclose()
        for name in ("shoal", "asyncio"):
            logging.getLogger(name).removeHandler(self._errors)

    async def send(self, server: str, request: dict[str, Any]) -> None:
        """Send one request; see to it that all is as it was."""
        self.steps.append([server, msgspec.msgpack.encode(request, enc_hook=_opaque).hex()])
        comm = self._comms.pop(server, None)
        if comm is None or comm.closed():
            comm = await connect(self.servers[server].address)
        try:
            await comm.write(request)
            async with asyncio.timeout(_ANSWER):
                answer = await comm.read()
            if request.get("op") in ("stream", "actors", "progress", "connection_stream"):
                comm.abort()
            else:
                self._comms[server] = comm
            del answer
        except (OSError, TimeoutError):
            comm.abort()
        self.look(request)
        if len(self.steps) % _EVERY == 0 and not self.over:
            await self.serve()

    def look(self, request: dict[str, Any]) -> None:
        check_scheduler(self.scheduler.state)
        alive = all(worker.status in ("running", "paused") for worker in self.workers)
        alive = alive and len(self.scheduler.state.workers) == 2
        if not alive or self.scheduler.status != "running":
            assert any(_CLOSING & {str(each)} for each in _texts(request)), f"closed by {request}"
            self.over = True
            return
        for worker in self.workers:
            check_worker(worker.machine)
        assert not self._errors.found, self._errors.found[0]

    async def serve(self) -> None:
        """The honest client is served, and has what it had."""
        async with asyncio.timeout(_SERVED):
            assert await self.client.submit(inc, len(self.steps), pure=False) > 0
            assert await self.client.gather(self.sums) == [2, 3, 4]


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for pair in value.items() for each in pair for text in _texts(each)]
    if isinstance(value, list | tuple):
        return [text for each in value for text in _texts(each)]
    return []


def _opaque(value: Any) -> Any:
    return {"blob": bytes(value.data)} if isinstance(value, Blob) else repr(value)


def replay(steps: list[list[Any]]) -> None:
    """Let happen again what an episode recorded."""

    async def main() -> None:
        async with World([["start"]]) as world:
            for server, data in steps[1:]:
                if not world.over:
                    await world.send(
                        server, _with_blobs(msgspec.msgpack.decode(bytes.fromhex(data)))
                    )
            if not world.over:
                await world.serve()

    asyncio.run(main())


def _with_blobs(value: Any) -> Any:
    if isinstance(value, dict):
        if list(value) == ["blob"]:
            return Blob(value["blob"])
        return {key: _with_blobs(each) for key, each in value.items()}
    return [_with_blobs(each) for each in value] if isinstance(value, list) else value


class Episode:
    """So many mutated requests, among the client's work."""

    def __init__(self, seed: str, cases: int) -> None:
        self.rng = Random(seed)
        self.mutator = Mutator(self.rng)
        self.cases = cases
        self.steps: list[list[Any]] = [["start"]]
        self.core = self  # what `run` asks for the steps

    def run(self) -> None:
        asyncio.run(self._run())

    async def _run(self) -> None:
        async with World(self.steps) as world:
            while self.cases > 0 and not world.over:
                server = self.rng.choice(("scheduler", "scheduler", "scheduler", "worker", "nanny"))
                request = getattr(self, f"to_{server}")(world)
                self.cases -= 1
                if self.rng.random() < 0.9:
                    request = self.mutator.request(request)
                await world.send(server, request)
            if not world.over:
                await world.serve()

    # -- valid requests ---------------------------------------------------------------------

    def keys(self) -> list[str]:
        known = ["a", "b", "('x', 0)", "nothing"]
        return self.rng.sample(known, self.rng.randint(0, 3))

    def to_scheduler(self, world: World) -> dict[str, Any]:
        rng = self.rng
        keys, one = self.keys(), rng.choice(["a", "b", "none"])
        names: Any = rng.choice((None, None, ["w0"], [world.workers[1].address], ["nobody"]))
        value = dumps([1, 2])
        client = rng.choice((world.client.id, "stranger"))
        choices: list[dict[str, Any]] = [
            {"op": rng.choice(("who_has", "nbytes", "call_stack")), "keys": keys},
            {"op": rng.choice(("has_what", "ncores", "processing")), "workers": names},
            {"op": rng.choice(("task_status", "story")), "keys": keys},
            {"op": rng.choice(("explain", "task_recipe")), "key": one},
            {"op": "gather", "keys": keys},
            {"op": "scatter", "data": {f"s{rng.randrange(5)}": value}, "client": client,
             "workers": names, "broadcast": rng.choice((False, True, 2)), "timeout": 0.1,
             "life": rng.choice((0, 1, 1024)), "equal": rng.random() < 0.5},
            {"op": "replicate", "keys": keys, "n": rng.choice((None, 1, 2)), "workers": names,
             "branching_factor": 2},
            {"op": "rebalance", "keys": keys, "workers": names},
            {"op": "broadcast", "msg": {"op": rng.choice(("echo", "keys", "memory"))},
             "workers": names, "hosts": None, "nanny": False, "on_error": "return"},
            {"op": "set_metadata", "keys": keys, "value": {"x": [1]}},
            {"op": "get_metadata", "keys": keys},
            {"op": "log_event", "topic": rng.choice(("t", ["t", "u"])), "msg": {"x": 1}},
            {"op": "events", "topic": "t"},
            {"op": rng.choice(("subscribe_topic", "unsubscribe_topic")), "topic": "t",
             "client": client},
            {"op": rng.choice(("start_task_metadata", "stop_task_metadata")), "name": "m"},
            {"op": rng.choice(("logs", "get_logs")), "n": 3},
            {"op": "profile", "key": None, "start": 0.0, "stop": 1.0, "workers": names,
             "server": False, "own": False},
            {"op": "task_stream", "start": 0.0, "stop": 1e9, "count": 3},
            {"op": "progress", "keys": keys, "by": "prefix", "interval": 0.05, "complete": True},
            {"op": "dump_state", "exclude": keys},
            {"op": rng.choice(("cluster_memory",)), "measure": "process"},
            {"op": "cluster_summary", "most": 5},
            {"op": "scheduler_info", "n_workers": 5},
            {"op": "memory_manager", "method": rng.choice(("running", "run_once"))},
            {"op": "adaptive_target", "target_duration": 1.0},
            {"op": "workers_to_close", "n": 1, "memory_ratio": 2},
            {"op": "retire_workers", "workers": ["nobody"], "within": 0.1},
            {"op": "close_worker", "worker": "nobody", "reason": "why"},
            {"op": "restart_workers", "workers": ["nobody"], "timeout": 0.1, "on_error": "return"},
            {"op": "worker_died", "address": world.workers[0].address, "reason": "x",
             "running": [1], "overdue": [2]},
            {"op": "register_worker_plugin", "plugin": Blob(b"garbage"), "name": "p",
             "idempotent": False, "nanny": rng.random() < 0.3},
            {"op": "register_scheduler_plugin", "plugin": Blob(b"garbage"), "name": "p"},
            {"op": rng.choice(("unregister_worker_plugin", "unregister_scheduler_plugin")),
             "name": "p"},
            {"op": "worker_plugins", "nanny": False, "address": world.workers[0].address},
            {"op": "run_function", "function": Blob(b"garbage"), "args": None, "wait": True},
            {"op": "stream_messages", "messages": [{"op": "echo", "data": 1}], "sender": "w"},
            {"op": "stream", "edge": rng.choice(("worker", "client")), "token": b"t"},
            {"op": "connection_stream", "extra": {}},
            {"op": "echo", "data": keys, "close": rng.random() < 0.1},
        ]  # fmt: skip
        return rng.choice(choices)

    def to_worker(self, world: World) -> dict[str, Any]:
        rng = self.rng
        keys, value = self.keys(), dumps([1, 2])
        life = rng.choice((0, 1, 1024))
        n = len(keys)
        choices: list[dict[str, Any]] = [
            {"op": "get_data", "keys": keys, "host": None, "lives": rng.choice((None, {"a": 1}))},
            {"op": "give_parts", "keys": keys, "lives": [life] * n, "parts": [(0, 1)] * n},
            {"op": "update_data", "data": {f"u{rng.randrange(4)}": value}, "shared": None,
             "life": life, "equal": rng.random() < 0.5},
            {"op": "profile", "key": None, "start": 0.0, "stop": 1.0, "server": False},
            {"op": "call_stack", "keys": keys},
            {"op": "trace", "since": 0.0},
            {"op": "get_monitor_info", "recent": True, "start": 0},
            {"op": "measure_hardware", "what": rng.choice(("memory", "disk")), "size": 1000,
             "duration": 0.001},
            {"op": "stream_messages", "messages": [{"op": "echo", "data": 1}], "sender": "w"},
            {"op": "upload_file", "filename": "x.txt", "data": b"x", "load": False},
            {"op": "dump_state", "exclude": keys},
            {"op": rng.choice(("logs", "keys", "memory", "versions", "identity"))},
            {"op": "plugin_add", "name": "p", "plugin": Blob(b"garbage")},
            {"op": "plugin_remove", "name": "p"},
            {"op": "run", "function": Blob(b"garbage"), "args": None, "kwargs": None, "wait": True},
            {"op": "began_stream", "token": b"t" * 16},
            {"op": "actors"},
        ]  # fmt: skip
        return rng.choice(choices)

    def to_nanny(self, world: World) -> dict[str, Any]:
        rng = self.rng
        choices: list[dict[str, Any]] = [
            {"op": "death", "pid": rng.randrange(5)},
            {"op": "replace", "pid": 1, "reason": "x"},
            {"op": "kill", "timeout": 0.1, "reason": "x"},
            {"op": "restart", "timeout": 0.1, "reason": "x"},
            {"op": rng.choice(("logs", "get_logs")), "n": 3},
            {"op": rng.choice(("identity", "versions", "instantiate"))},
            {"op": "plugin_add", "name": "p", "plugin": Blob(b"garbage")},
            {"op": "plugin_remove", "name": "p"},
            {"op": "upload_file", "filename": "x.txt", "data": b"x", "load": False},
            {"op": "run", "function": Blob(b"garbage")},
        ]
        return rng.choice(choices)
