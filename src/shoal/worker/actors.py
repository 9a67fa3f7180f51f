"""The actors that live on a worker: their instances, the calls that wait, and who runs them.

The calls of one actor are one queue. Plain methods run on a thread, one after the other; coroutine
methods are begun on the loop when it is their turn, and do not keep others from beginning. Actors
never wait for each other's threads: there are as many as there are actors at work, and they are
threads of their own, so actors take no place of tasks.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias
from weakref import WeakValueDictionary

from shoal.actors.actor import Actor
from shoal.actors.connections import ActorConnections
from shoal.comm.base import Comm
from shoal.comm.status import Status
from shoal.comm.stream import MessageStream
from shoal.errors import ActorLostError
from shoal.task_context import TaskContext, current, current_actor
from shoal.wire import actor_messages as m
from shoal.wire.codec import BatchCodec
from shoal.wire.failures import pack_failure
from shoal.wire.pickling import dumps, loads
from shoal.worker.imports import IMPORTS

if TYPE_CHECKING:
    from shoal._base.both_loops import BothLoops
    from shoal.comm.rpc import ConnectionPool

__all__ = ["Actors"]

_LINGER = 5.0  # seconds that a thread stays without work


class ActorsHost(Protocol):
    """A worker, as its actors know it."""

    rpc: ConnectionPool
    name: Any

    @property
    def address(self) -> str:
        """Where others reach it."""

    @property
    def loop(self) -> BothLoops:
        """Its event loop."""


class _Hosted:
    """One actor and the calls that wait for it."""

    __slots__ = ("__weakref__", "_coroutines", "busy", "calls", "instance", "key", "lock")

    def __init__(self, key: str, instance: Any) -> None:
        self.key = key
        self.instance = instance
        self.lock = threading.Lock()
        self.calls: deque[_Waiting] = deque()
        self.busy = False  # a thread, or a coming turn of the loop, takes the next calls
        self._coroutines: dict[str, bool] = {}

    def next_is_for_loop(self) -> bool:
        """Whether the first of the calls is one of a coroutine method, or wants no thread."""
        call = self.calls[0][1]
        if call.on_loop:
            return True
        name = call.name
        found = self._coroutines.get(name)
        if found is None:
            found = inspect.iscoroutinefunction(getattr(type(self.instance), name, None))
            self._coroutines[name] = found
        return found


class _Caller:
    """A connection on which calls come; answers go there in batches."""

    __slots__ = ("_answers", "_awake", "_loop", "_stream")

    def __init__(self, stream: MessageStream[Any], loop: asyncio.AbstractEventLoop) -> None:
        self._stream = stream
        self._loop = loop
        self._answers: deque[Any] = deque()
        self._awake = False

    def answer(self, message: Any) -> None:
        """Send an answer with those that follow it soon; on any thread."""
        self._answers.append(message)
        # `_flush` clears the flag before it looks, so what was added before this line is seen.
        if not self._awake:
            self._awake = True
            try:
                self._loop.call_soon_threadsafe(self._flush)
            except RuntimeError:  # the loop is closed: nobody is there to hear
                pass

    def answer_last(self, message: Any) -> None:
        """Send an answer that none follows soon; on any thread."""
        self._stream.send_now([message])

    def _flush(self) -> None:
        self._awake = False
        answers = []
        while self._answers:
            answers.append(self._answers.popleft())
        if answers and not self._stream.closed:
            self._stream.send(answers)


_Waiting: TypeAlias = tuple[_Caller, m.ActorCall]


class Actors:
    """The actors of one worker, and the way of its tasks to the actors of others.

    Parameters
    ----------
    worker : Worker
        Where they live.
    """

    def __init__(self, worker: ActorsHost) -> None:
        self._worker = worker
        self._loop = worker.loop.asyncio_loop
        # The proxy in the worker's store keeps them alive: dropping the key drops the actor.
        self._hosted: WeakValueDictionary[str, _Hosted] = WeakValueDictionary()
        self._threads = _Threads(self._drain, f"shoal-actors-{worker.name}")
        self._coroutines: set[asyncio.Task[None]] = set()
        self.connections = ActorConnections(
            self._loop,
            lambda: worker.rpc.connection_args,
            loads,
            is_asynchronous=lambda: asyncio._get_running_loop() is self._loop,
        )

    def __len__(self) -> int:
        return len(self._hosted)

    def instances(self) -> list[tuple[str, Any]]:
        """Return the actors that live here, with their keys."""
        return [(key, hosted.instance) for key, hosted in self._hosted.items()]

    def host(self, key: str, instance: Any) -> Actor:
        """Make an object an actor; it lives as long as what is returned. On any thread."""
        hosted = self._hosted[key] = _Hosted(key, instance)
        return Actor(type(instance), self._worker.address, key, hosted)

    def serve(self, comm: Comm) -> Status:
        """Take calls on a connection from now on."""
        stream: MessageStream[Any] = MessageStream(
            comm, sends=BatchCodec(m.ActorToCaller), receives=BatchCodec(m.ActorCall)
        )
        caller = _Caller(stream, self._loop)
        stream.start(lambda calls: self._receive(caller, calls), lambda reason: None, direct=True)
        return Status.dont_reply

    def close(self) -> None:
        """End threads and coroutines; what waits is not run any more."""
        for running in self._coroutines:
            running.cancel()
        self.connections.close(f"the worker {self._worker.name} closes")
        self._threads.close()

    # ------------------------------------------------------------------ on the loop

    def _receive(self, caller: _Caller, calls: list[m.ActorCall]) -> None:
        touched: dict[str, _Hosted] = {}
        for call in calls:
            hosted = touched.get(call.key) or self._hosted.get(call.key)
            if hosted is None:
                reason = "nobody wanted it any longer, or it never was there"
                _fail(caller, call, ActorLostError(call.key, self._worker.address, reason))
            else:
                hosted.calls.append((caller, call))
                touched[call.key] = hosted
        for hosted in touched.values():
            with hosted.lock:
                idle, hosted.busy = not hosted.busy, True
            if idle:
                self._go_on(hosted)

    def _go_on(self, hosted: _Hosted) -> None:
        """Begin the next calls of an actor that is marked as busy."""
        begun = False
        while hosted.calls and hosted.next_is_for_loop():
            caller, call = hosted.calls.popleft()
            self._start(self._call_coroutine(hosted, caller, call))
            begun = True
        if begun:  # their first steps come before what follows
            self._loop.call_soon(self._go_on, hosted)
            return
        with hosted.lock:
            if not hosted.calls:
                hosted.busy = False
                return
        self._threads.run(hosted)

    def _start(self, coroutine: Any) -> None:
        running = self._loop.create_task(coroutine)
        self._coroutines.add(running)
        running.add_done_callback(self._coroutines.discard)

    async def _call_coroutine(self, hosted: _Hosted, caller: _Caller, call: m.ActorCall) -> None:
        self._enter(hosted)
        try:
            result = _invoke(hosted.instance, call)
            if inspect.isawaitable(result):
                result = await result
            answer = m.ActorResult(call.id, dumps(result))
        except BaseException as error:
            _fail(caller, call, error)
            if isinstance(error, asyncio.CancelledError):
                raise
        else:
            caller.answer(answer)

    async def _await(
        self, hosted: _Hosted, caller: _Caller, call: m.ActorCall, awaitable: Any
    ) -> None:
        self._enter(hosted)
        try:
            caller.answer(m.ActorResult(call.id, dumps(await awaitable)))
        except BaseException as error:
            _fail(caller, call, error)

    def _enter(self, hosted: _Hosted) -> None:
        current.set(TaskContext(self._worker, None, None))
        current_actor.set((hosted.key, self._worker.address, hosted.instance))

    # ------------------------------------------------------------------ on threads

    def _drain(self, hosted: _Hosted) -> None:
        """Run the plain calls that wait, up to the next one of a coroutine method."""
        self._enter(hosted)
        while True:
            with hosted.lock:
                if not hosted.calls:
                    hosted.busy = False
                    break
                if hosted.next_is_for_loop():
                    self._call_loop(self._go_on, hosted)
                    break
                caller, call = hosted.calls.popleft()
            self._execute(hosted, caller, call)
        current_actor.set(None)

    def _execute(self, hosted: _Hosted, caller: _Caller, call: m.ActorCall) -> None:
        try:
            result = _invoke(hosted.instance, call)
            if inspect.isawaitable(result):
                self._call_loop(lambda: self._start(self._await(hosted, caller, call, result)))
                return
            answer = m.ActorResult(call.id, dumps(result))
        except BaseException as error:  # SystemExit is no reason to lose a thread
            _fail(caller, call, error)
        else:
            (caller.answer if hosted.calls else caller.answer_last)(answer)

    def _call_loop(self, function: Callable[..., None], *args: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *args)
        except RuntimeError:  # it is closed
            pass


def _invoke(instance: Any, call: m.ActorCall) -> Any:
    found = getattr(instance, call.name)
    if call.args is None:
        return found
    if IMPORTS.first_uses:
        with IMPORTS.alone():
            args, kwargs = loads(call.args)
    else:
        args, kwargs = loads(call.args)
    return found(*args, **kwargs)


def _fail(caller: _Caller, call: m.ActorCall, error: BaseException) -> None:
    failure = pack_failure(error)
    caller.answer(m.ActorFailed(call.id, failure.exception, failure.traceback))


class _Idle:
    __slots__ = ("gate", "work")

    def __init__(self) -> None:
        self.gate = threading.Lock()
        self.gate.acquire()
        self.work: _Hosted | None = None


class _Threads:
    """As many threads as there are actors at work, each kept a while for the next."""

    def __init__(self, drain: Callable[[_Hosted], None], name: str) -> None:
        self._drain = drain
        self._name = name
        self._lock = threading.Lock()
        self._idle: list[_Idle] = []
        self._closed = False

    def run(self, hosted: _Hosted) -> None:
        """Have a thread run the calls of an actor."""
        with self._lock:
            if self._closed:
                return
            idle = self._idle.pop() if self._idle else None
        if idle is not None:
            idle.work = hosted
            idle.gate.release()
        else:
            me = _Idle()
            me.work = hosted  # not an argument, which the thread would keep as long as it lives
            threading.Thread(target=self._work, args=(me,), name=self._name, daemon=True).start()

    def close(self) -> None:
        """End the threads that have nothing to do, and the others when they are done."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for each in idle:
            each.gate.release()

    def _work(self, me: _Idle) -> None:
        hosted, me.work = me.work, None
        while hosted is not None:
            self._drain(hosted)
            hosted = None  # an idle thread keeps no actor alive
            with self._lock:
                if self._closed:
                    return
                self._idle.append(me)
            if not me.gate.acquire(timeout=_LINGER):
                with self._lock:
                    if me in self._idle:
                        self._idle.remove(me)
                        return
                me.gate.acquire()  # work came at the last moment
            hosted, me.work = me.work, None
