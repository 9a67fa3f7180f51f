"""Effects that a core asked for against the calls of ports that carried them out, batch by batch.

A simulated node gives its applier ports that tell its `Ledger` of each call. So an effect that is
lost, carried out twice or never asked for is seen at once, whatever would have come of it. The
order is not repeated here: `AFTER` has only the parts of it that the `Effects` give a reason for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from itertools import compress
from typing import Any

import msgspec
from msgspec.structs import astuple

from shoal.client.core.effects import Effects as ClientEffects
from shoal.scheduler.core import Effects as SchedulerEffects
from shoal.wire.messages import RegisterWorker, SchedulerClosing, WorkerRejected
from shoal.worker.core import Effects as WorkerEffects

__all__ = ["AFTER", "BY_OTHERS", "Ledger"]

BY_OTHERS: Mapping[type[Any], Mapping[str, str]] = {
    SchedulerEffects: {},
    WorkerEffects: {},
    ClientEffects: {
        "messages": "they are sent in the midst of telling the core",
        "cuts": "they are a part of the messages",
    },
}
"""Fields that no step of the applier carries out, and why."""

_SAID = ("to_workers", "to_clients")
_TRUE = ("register", "keep", "drop", "pause", "resume")

AFTER: Mapping[type[Any], Mapping[str, tuple[str, ...]]] = {
    SchedulerEffects: {
        # Nothing may be said on the strength of what a scheduler that starts anew does not know.
        **dict.fromkeys(_SAID, ("journal",)),
        # The last messages to a peer are to arrive.
        **dict.fromkeys(("rejected", "close_workers", "close_clients", "left_clients"), _SAID),
        # A caller that is woken may say more.
        **dict.fromkeys(("retired", "not_retired", "idle"), _SAID),
    },
    WorkerEffects: {
        # A run finds its function and inputs, and no value of its own key.
        "execute": ("keep", "define", "drop"),
        # A run that ends after its value was dropped would leave another one.
        "drop": ("revoke", "discard"),
        # A run that did not begin is none to stop.
        "interrupt": ("discard",),
        # The scheduler is told facts.
        "send": _TRUE,
        # The process may end.
        "close": tuple(name for name in WorkerEffects.__struct_fields__ if name != "close"),
    },
    ClientEffects: {
        # A caller that is woken and asks for the same key begins anew.
        "changed": ("refused",),
        # A caller that waits for workers looks whether there will be any.
        "workers_changed": ("ended",),
    },
}
"""By field: other fields that are carried out before it, with the reason."""

# Fields of which every item has a call of its own; all others have one call.
_EACH = frozenset(
    (
        *("to_workers", "to_clients", "rejected", "close_workers", "close_clients"),
        *("left_clients", "retired", "not_retired"),
        *("keep", "define", "forget", "fetch", "call_back", "refuse", "events", "lost"),
    )
)

# By call of a port: the fields that it carries out, told by its arguments.
_FIELDS: Mapping[type[Any], Mapping[str, Callable[..., tuple[str, ...]]]] = {
    SchedulerEffects: {
        "journal.append": lambda *args: ("journal",),
        "workers.send": lambda name, messages: (
            () if type(messages[0]) is WorkerRejected else ("to_workers",)
        ),
        "clients.send": lambda name, messages: (
            () if type(messages[0]) is SchedulerClosing else ("to_clients",)
        ),
        "calls.worker_refused": lambda *args: ("rejected",),
        "calls.worker_closed": lambda *args: ("close_workers",),
        "calls.client_closed": lambda *args: ("close_clients",),
        "calls.client_left": lambda *args: ("left_clients",),
        "calls.worker_retired": lambda address, why_not: (
            ("retired",) if why_not is None else ("not_retired",)
        ),
        "calls.idle": lambda: ("idle",),
        "calls.continue_soon": lambda: ("more",),
        "timer.set": lambda *args: ("next_deadline",),
    },
    WorkerEffects: {
        "link.send": lambda messages: (
            ("register",) if type(messages[0]) is RegisterWorker else ("send",)
        ),
        "store.put": lambda *args: ("keep",),
        "store.drop": lambda *args: ("drop",),
        "functions.define": lambda *args: ("define",),
        "functions.forget": lambda *args: ("forget",),
        "executor.revoke": lambda *args: ("revoke",),
        "executor.discard": lambda *args: ("discard",),
        "executor.submit": lambda runs, after: ("execute", "after") if after else ("execute",),
        "executor.interrupt": lambda *args: ("interrupt",),
        "executor.abandon": lambda *args: ("abandon",),
        "executor.pause": lambda: ("pause",),
        "executor.resume": lambda: ("resume",),
        "calls.fetch": lambda *args: ("fetch",),
        "calls.call_back": lambda *args: ("call_back",),
        "calls.refuse": lambda *args: ("refuse",),
        "calls.evict": lambda nbytes, in_use, spare: tuple(
            compress(("evict", "in_use", "spare"), (True, in_use, spare))
        ),
        "calls.reclaim": lambda *args: ("reclaim",),
        "calls.leave": lambda *args: ("leave",),
        "calls.replace": lambda *args: ("replace",),
        "calls.close": lambda *args: ("close",),
        "timer.set": lambda *args: ("deadline",),
    },
    ClientEffects: {
        "futures.forget": lambda *args: ("refused",),
        "futures.tell_watchers": lambda *args: ("changed",),
        "calls.heard": lambda *args: ("news",),
        "calls.logged": lambda *args: ("events",),
        "calls.lock_lost": lambda *args: ("lost",),
        "calls.ended": lambda *args: ("ended",),
        "calls.workers_changed": lambda: ("workers_changed",),
    },
}


class _Port:
    """A port whose calls the ledger notes."""

    def __init__(self, port: Any, name: str, ledger: Ledger) -> None:
        self._port = port
        self._name = name
        self._ledger = ledger

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        fields = self._ledger.fields.get(f"{self._name}.{name}")
        if fields is None:
            return found

        def call(*args: Any) -> Any:
            for field in fields(*args):
                self._ledger.done(field)
            return found(*args)

        setattr(self, name, call)
        return call


class Ledger:
    """The batches of one applier that were not carried out whole, the oldest first.

    Parameters
    ----------
    kind : type
        The core's `Effects`.
    held : callable, optional
        Whether batches wait to be carried out, as they do for a journal.
    """

    def __init__(self, kind: type[msgspec.Struct], held: Callable[[], bool] | None = None) -> None:
        self.fields = _FIELDS[kind]
        self._names = kind.__struct_fields__
        self._skipped = BY_OTHERS[kind]
        self._after = AFTER[kind]
        self._held = held
        self._batches: deque[dict[str, int]] = deque()

    def port(self, port: Any, name: str) -> Any:
        """Return a port that notes its calls, by the applier's name of it."""
        return _Port(port, name, self)

    def asked(self, effects: msgspec.Struct) -> None:
        """Note a batch; the one before has been carried out whole by now, unless it is held."""
        self.check_all_done()
        batch = {
            name: len(value) if name in _EACH else 1
            for name, value in zip(self._names, astuple(effects), strict=True)
            if value and name not in self._skipped
        }
        if "execute" not in batch:
            batch.pop("after", None)  # of runs that were taken back in the same event
        if "ended" in batch:  # all that wait for workers are woken
            batch["workers_changed"] = batch.get("workers_changed", 0) + 1
        if batch:
            self._batches.append(batch)

    def check_all_done(self) -> None:
        """Raise `AssertionError` where effects were lost."""
        if self._batches and not (self._held is not None and self._held()):
            lost = list(self._batches[0])
            raise AssertionError(f"effects were not carried out: {lost}")

    def done(self, field: str) -> None:
        """Note that an effect is about to be carried out: of the oldest batch.

        Only the journal is written before batches that are held.
        """
        oldest = -1 if field == "journal" else 0
        batch = self._batches[oldest] if self._batches else {}
        assert field in batch, f"{field!r} is carried out twice, or was not asked for"
        early = _common(self._after.get(field, ()), batch)
        assert not early, f"{field!r} is carried out before {early}"
        batch[field] -= 1
        if not batch[field]:
            del batch[field]
            if not batch:
                del self._batches[oldest]


def _common(fields: Iterable[str], batch: dict[str, int]) -> list[str]:
    return [field for field in fields if field in batch]
