"""A scheduler that only remembers what it was told, to compare with what a client core believes."""

from __future__ import annotations

from typing import Any, ClassVar, cast

from looked_at import Unlooked

from shoal._base.keys import set_aside_key
from shoal.client.core import events as e
from shoal.client.core.effects import Effects
from shoal.client.core.invariants import check
from shoal.client.core.machine import Machine
from shoal.client.core.state import Call, Extras, Function, Record
from shoal.wire import messages as m
from shoal.wire.blob import Blob


def function(name: str, size: int = 10) -> Function:
    return Function(name.encode().ljust(16, b"."), Blob(b"f" * size))


INC = Call(function("inc"), "inc")


def task(key: str, *deps: str, call: Call = INC, wanted: bool = True) -> Record:
    return Record(key, call, b"args of " + key.encode(), deps, wanted=wanted)


def data(key: str, *holders: str, life: int = 0) -> Record:
    extras = Extras(nbytes=8, holders=list(holders))
    return Record(key, type="int", extras=extras, status="finished", holder=holders[0], life=life)


class ModelScheduler:
    """What one connection's messages add up to. Refuses what a scheduler would not understand."""

    def __init__(self) -> None:
        self.hello: m.ClientHello | None = None
        self.functions: dict[bytes, Blob] = {}
        self.tasks: dict[str, tuple[bytes, tuple[str, ...]]] = {}
        self.definitions: dict[str, tuple[bytes, bytes, tuple[str, ...]]] = {}
        self.lives: dict[str, int] = {}
        self.data: set[str] = set()
        self.wants: set[str] = set()
        self.fired: set[str] = set()
        self.left = False
        self.unseen: list[Any] = []  # messages that no table of the client says anything of

    def hear(self, messages: list[Any]) -> None:
        for message in messages:
            assert self.hello is not None or type(message) is m.ClientHello
            assert not self.left, "it said goodbye"
            getattr(self, "on_" + type(message).__name__)(message)

    def on_ClientHello(self, msg: m.ClientHello) -> None:
        assert self.hello is None, "it said hello twice"
        self.hello = msg

    def on_DefineFunctions(self, msg: m.DefineFunctions) -> None:
        assert len(set(msg.ids)) == len(msg.ids)
        assert self.functions.keys().isdisjoint(msg.ids), "a function was defined twice"
        self.functions.update(zip(msg.ids, msg.blobs, strict=True))

    def on_ForgetFunctions(self, msg: m.ForgetFunctions) -> None:
        for id in msg.ids:
            del self.functions[id]

    def on_Graph(self, msg: m.Graph) -> None:
        n = len(msg.keys)
        assert n
        for name in ("args", "function_of", "deps", "group_of", "option_of"):
            column = getattr(msg, name)
            assert len(column) in ((n,) if name == "args" else (0, n)), name
        for i, key in enumerate(msg.keys):
            id = msg.functions[msg.function_of[i] if msg.function_of else 0]
            assert id in self.functions, f"function of {key} is not defined"
            refs = msg.deps[i] if msg.deps else []
            deps = tuple(msg.keys[r] if isinstance(r, int) else r for r in refs)
            for dep in deps:
                known = dep in self.tasks or dep in self.data or dep in msg.keys
                assert known, f"{key} depends on {dep}, which was not told"
            definition = (id, msg.args[i], deps)
            if key not in self.tasks:  # it may have been given up
                self.definitions.pop(key, None)
                self.lives.pop(key, None)
            life = msg.lives[i] if msg.lives else msg.told
            wanted = msg.wanted is None or i in msg.wanted
            other = life not in (0, self.lives.get(key, life))
            if other and wanted and key not in self.wants and definition != self.definitions[key]:
                self.set_aside(key)
            self.tasks.setdefault(key, (id, deps))
            self.definitions.setdefault(key, definition)
            self.lives.setdefault(key, life)
        chosen = range(n) if msg.wanted is None else msg.wanted
        self.wants.update(msg.keys[i] for i in chosen)

    def on_Want(self, msg: m.Want) -> None:
        self.data.update(msg.keys)
        self.wants.update(msg.keys)

    def on_Scattered(self, msg: m.Scattered) -> None:
        assert all(msg.holders)
        self.data.update(msg.keys)
        self.wants.update(msg.keys)

    def on_Release(self, msg: m.Release) -> None:
        self.wants.difference_update(msg.keys)
        self.forget()

    def on_Cancel(self, msg: m.Cancel) -> None:
        self.unseen.append(msg)
        self.wants.difference_update(msg.keys)
        self.forget()

    def on_Retry(self, msg: m.Retry) -> None:
        self.unseen.append(msg)

    def on_FireAndForget(self, msg: m.FireAndForget) -> None:
        self.fired.update(msg.keys)

    def on_Ask(self, msg: m.Ask) -> None:
        self.unseen.append(msg)  # primitives are nothing to a scheduler of tasks

    def on_ClientGoodbye(self, msg: m.ClientGoodbye) -> None:
        self.left = True

    def set_aside(self, key: str) -> None:
        """Let a task go on under a name of its own."""
        name = set_aside_key(key, self.lives[key])
        for table in (self.tasks, self.definitions, self.lives):
            table[name] = table.pop(key)
        for other, (id, deps) in self.tasks.items():
            self.tasks[other] = (id, tuple(name if dep == key else dep for dep in deps))
        for other, (id, args, deps) in self.definitions.items():  # compared by what inputs are now
            renamed = tuple(name if dep == key else dep for dep in deps)
            self.definitions[other] = (id, args, renamed)

    def forget(self) -> None:
        """Forget what nobody wants and nothing that is known depends on."""
        while True:
            needed = {dep for _, deps in self.tasks.values() for dep in deps} | self.wants
            gone = (self.tasks.keys() | self.data) - needed
            if not gone:
                return
            for key in gone:
                for table in (self.tasks, self.definitions, self.lives):
                    table.pop(key, None)
                self.data.discard(key)


class Duet:
    """A client core and, while connected, a model scheduler; both are checked after each event.

    So no message goes unseen: the model hears each of them, refuses what it has no handler for, and
    its tables are compared with what the client believes. Messages that leave no trace in these
    tables are for the test to look at (`told`), which fails otherwise: see `check_all_seen`.
    """

    made: ClassVar[list[Duet]] = []  # by the test that runs

    def __init__(self) -> None:
        self.made.append(self)
        INC.function.tasks = 0  # it is shared by all tests
        self.machine = Machine("client-1", "test", {"python": "3"}, first_life=1)
        self.machine.state.part = 3  # even little graphs come in several parts
        self.scheduler: ModelScheduler | None = None
        # Of `changed` and `workers_changed` the state tells.
        self.effects = Unlooked(("refused", "news", "events", "lost", "ended"))

    @property
    def records(self) -> dict[str, Record]:
        return self.machine.state.records

    def handle(self, event: e.Event) -> Effects:
        effects = self.machine.handle(event, 0.0)
        if effects.messages:
            assert self.scheduler is not None
            for messages in effects.batches():
                self.scheduler.hear(messages)
        self.check()
        return cast("Effects", self.effects.watch(effects))

    def told(self, kind: type) -> list[Any]:
        """Take the messages of one kind that the scheduler was told and that left no trace."""
        assert self.scheduler is not None
        unseen = self.scheduler.unseen
        self.scheduler.unseen = [message for message in unseen if type(message) is not kind]
        return [message for message in unseen if type(message) is kind]

    def ignore(self, kind: type, why: str) -> None:
        """Take messages of a kind, of which there must be one, without a look at them."""
        assert why and self.told(kind), f"no {kind.__name__} is left to ignore"

    def check_all_seen(self) -> None:
        """Fail if the core sent something that neither the model nor the test looked at."""
        left = [] if self.scheduler is None else self.scheduler.unseen
        kinds = sorted({type(message).__name__ for message in left})
        assert not left, f"nobody looked at {', '.join(kinds)}: {left}"
        self.effects.check()

    def connect(self) -> Effects:
        self.scheduler = ModelScheduler()
        return self.handle(e.Connected())

    def disconnect(self) -> Effects:
        self.check_all_seen()
        self.scheduler = None
        return self.handle(e.Disconnected())

    def submit(self, *records: Record) -> Effects:
        return self.handle(e.Submitted(list(records)))

    def hear(self, *messages: Any) -> Effects:
        return self.handle(e.FromScheduler(list(messages)))

    def finish(self, *keys: str) -> Effects:
        n = len(keys)
        return self.hear(m.KeysInMemory(list(keys), ["int"] * n, [b"1"] * n, []))

    def fail(self, key: str) -> Effects:
        return self.hear(m.KeyErred(key, Blob(b"e"), Blob(b"t"), key))

    def release(self, *keys: str) -> Effects:
        return self.handle(e.Released(list(keys)))

    def check(self) -> None:
        check(self.machine)
        s = self.machine.state
        assert s.connected == (self.scheduler is not None and not self.scheduler.left)
        if not s.connected or self.scheduler is None:
            return
        told = {k for k, r in s.records.items() if r.wanted and k not in s.held_back}
        assert self.scheduler.wants == told
        assert self.scheduler.functions.keys() == s.functions.keys()
        assert self.scheduler.fired.issuperset(s.fired), "it was not told of all that is fired"
        for key, record in s.records.items():
            if record.call is not None and key not in s.held_back:
                id, deps = self.scheduler.tasks[key]
                assert (id, deps) == (record.call.function.id, record.deps)
