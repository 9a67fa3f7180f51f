"""A scheduler and worker in one small server, to test clients without a cluster.

It speaks the real messages, runs tasks on the spot, and does as tests tell it: hold tasks back,
drop data, close connections.
"""

from __future__ import annotations

from typing import Any

from shoal.comm import Comm, MessageStream
from shoal.core import Server, Status
from shoal.wire import messages as m
from shoal.wire.blob import Blob
from shoal.wire.codec import BatchCodec
from shoal.wire.failures import pack_failure
from shoal.wire.pickling import dumps, dumps_bytes, loads
from shoal.wire.placeholder import dependency_values
from shoal.wire.plain_values import load_arguments


class Little(Server):
    def __init__(self) -> None:
        super().__init__(
            {
                "stream": self.accept,
                "gather": self.gather,
                "get_data": self.get_data,
                "update_data": self.update_data,
                "scatter": self.scatter,
                "nthreads": lambda comm, workers=None: dict.fromkeys(self.workers, 2),
                "who_has": self.who_has,
                "nbytes": lambda comm, keys=None: {"inc-1": 10, "inc-2": 20, "dec-1": 5},
                "broadcast": self.broadcast,
                "run_function": self.run_function,
                "explain": lambda comm, key: f"{key} is here",
            }
        )
        self.workers: list[str] = []
        self.streams: list[MessageStream[Any]] = []
        self.functions: dict[bytes, Any] = {}
        self.tasks: dict[str, tuple[bytes, bytes, list[Any], list[str]]] = {}
        self.values: dict[str, Any] = {}
        self.failed: dict[str, m.KeyErred] = {}
        self.wanted: set[str] = set()
        self.heard: list[Any] = []
        self.asked: list[str] = []
        self.runs: dict[str, int] = {}
        self.paused = False
        self.inline = 1000
        self.holder = ""  # who is said to hold what is not sent along

    async def open(self, address: str = "inproc://") -> Little:
        await self.listen(address, role="scheduler")
        self.workers = [self.address]
        self.holder = self.address
        await self.start()
        return self

    # ------------------------------------------------------------------ stream

    async def accept(self, comm: Comm, edge: str, token: bytes = b"") -> Status:
        assert edge == "client"
        stream: MessageStream[Any] = MessageStream(
            comm, sends=BatchCodec(m.SchedulerToClient), receives=BatchCodec(m.ClientToScheduler)
        )
        self.streams.append(stream)
        stream.start(lambda batch: self.hear(stream, batch), lambda reason: None)
        return Status.dont_reply

    def hear(self, stream: MessageStream[Any], batch: list[Any]) -> None:
        for message in batch:
            self.heard.append(message)
            handler = getattr(self, "on_" + type(message).__name__, None)
            if handler is not None:
                handler(message)

    def say(self, *messages: Any) -> None:
        for stream in self.streams:
            stream.send(messages)

    def on_ClientHello(self, msg: m.ClientHello) -> None:
        self.say(m.ClientWelcome("little", self.workers))

    def on_DefineFunctions(self, msg: m.DefineFunctions) -> None:
        self.functions.update(zip(msg.ids, msg.blobs, strict=True))

    def on_Graph(self, msg: m.Graph) -> None:
        for i, key in enumerate(msg.keys):
            refs = msg.deps[i] if msg.deps else []
            deps = [msg.keys[ref] if isinstance(ref, int) else ref for ref in refs]
            function = msg.functions[msg.function_of[i] if msg.function_of else 0]
            self.tasks[key] = (function, msg.args[i], msg.buffers.get(i, []), deps)
            if msg.wanted is None or i in msg.wanted:
                self.wanted.add(key)
                if key in self.values:
                    self.tell(key)
                elif key in self.failed:
                    self.say(self.failed[key])
        self.work()

    def on_Want(self, msg: m.Want) -> None:
        self.wanted.update(msg.keys)
        for key in msg.keys:
            if key in self.values:
                self.tell(key)

    def on_Release(self, msg: m.Release) -> None:
        self.wanted.difference_update(msg.keys)

    def on_Retry(self, msg: m.Retry) -> None:
        for key in msg.keys:
            self.failed.pop(key, None)
        self.say(m.KeysPending(msg.keys))
        self.work()

    def work(self) -> None:
        """Run all that can run."""
        if self.paused:
            return
        progress = True
        while progress:
            progress = False
            for key, (function, args, buffers, deps) in list(self.tasks.items()):
                if key in self.values or key in self.failed:
                    continue
                bad = next((dep for dep in deps if dep in self.failed), None)
                if bad is not None:
                    why = self.failed[bad]
                    self.failed[key] = m.KeyErred(key, why.exception, why.traceback, why.blame)
                    self.say(self.failed[key])
                elif all(dep in self.values for dep in deps):
                    self.run(key, function, Blob(args, buffers), deps)
                else:
                    continue
                progress = True

    def run(self, key: str, function: bytes, args: Blob, deps: list[str]) -> None:
        self.runs[key] = self.runs.get(key, 0) + 1
        try:
            with dependency_values([self.values[dep] for dep in deps]):
                plain = not args.buffers and not deps
                positional, keywords = load_arguments(bytes(args.data)) if plain else loads(args)
            self.values[key] = loads(self.functions[function])(*positional, **(keywords or {}))
        except Exception as error:
            failure = pack_failure(error)
            self.failed[key] = m.KeyErred(key, failure.exception, failure.traceback, key)
            self.say(self.failed[key])
        else:
            self.tell(key)

    def tell(self, key: str) -> None:
        value = self.values[key]
        data = dumps_bytes(value)
        kind = type(value).__name__
        if len(data) <= self.inline:
            self.say(m.KeysInMemory([key], [kind], [data], []))
        else:
            self.say(m.KeysInMemory([key], [kind], [None], [self.holder]))

    # ------------------------------------------------------------------ requests

    async def get_data(
        self, comm: Comm, keys: list[str], host: str | None = None
    ) -> dict[str, Any]:
        self.asked.append("get_data")
        found = {key: dumps(self.values[key]) for key in keys if key in self.values}
        return {"shared": {}, "data": found, "missing": [key for key in keys if key not in found]}

    async def gather(self, comm: Comm, keys: list[str]) -> dict[str, Any]:
        answer = await self.get_data(comm, keys)
        self.asked[-1] = "gather"
        missing = answer["missing"]
        if missing:
            self.say(m.KeysPending(missing))
            self.work()
        return answer

    async def update_data(
        self,
        comm: Comm,
        data: dict[str, Blob],
        shared: Any = None,
        life: int = 0,
        equal: Any = None,
    ) -> dict[str, Any]:
        assert not shared  # nothing here is large
        self.asked.append("update_data")
        self.values.update({key: loads(blob) for key, blob in data.items()})
        return {
            "nbytes": dict.fromkeys(data, 8),
            "types": {key: type(self.values[key]).__name__ for key in data},
            "unreadable": [],
        }

    async def scatter(
        self,
        comm: Comm,
        data: Any,
        workers: Any,
        client: str,
        broadcast: Any,
        timeout: Any,
        life: int,
        equal: bool,
    ) -> dict[str, Any]:
        answer = await self.update_data(comm, data)
        self.asked[-1] = "scatter"
        return {**answer, "who_has": {key: [self.address] for key in data}}

    def who_has(self, comm: Comm, keys: list[str] | None = None) -> dict[str, list[str]]:
        return dict.fromkeys(self.values if keys is None else keys, self.workers)

    async def broadcast(
        self, comm: Comm, msg: Any, workers: Any, nanny: bool, on_error: str
    ) -> Any:
        arguments = {k: v for k, v in msg.items() if k != "op"}
        return {address: await self.run_function(comm, **arguments) for address in self.workers}

    async def run_function(
        self, comm: Comm, function: Any, args: Any, kwargs: Any, wait: bool
    ) -> Any:
        try:
            result = loads(function)(*loads(args), **loads(kwargs))
        except Exception as error:
            failure = pack_failure(error)
            return {
                "status": "error",
                "exception": failure.exception,
                "traceback": failure.traceback,
                "text": failure.exception_text,
            }
        return {"status": "OK", "result": dumps(result)}

    def resume(self) -> None:
        """Run what was held back."""
        self.paused = False
        self.work()
