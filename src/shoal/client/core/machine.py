"""The client's core: an event in, messages to the scheduler and changes of statuses out.

The life of a record::

    pending --> finished <-> pending     the result is there; it was lost and is computed again
    pending --> error ----> pending      the task failed; it is tried again
    any of these --> cancelled, lost     the end: the record is forgotten

A record is kept while a future wants it or another record depends on it, so that all of it can be
said again to a scheduler that knows nothing. Losing the connection changes no status.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from shoal.client.core import events as e
from shoal.client.core.asks import Asks
from shoal.client.core.dependents import with_dependents
from shoal.client.core.effects import Effects
from shoal.client.core.functions import (
    forget_functions,
    idle_function,
    untell_function,
    untell_functions,
)
from shoal.client.core.lives import inherit, means_another, needs, set_aside
from shoal.client.core.outgoing import STEP, life_of, tell_records
from shoal.client.core.pending_graphs import SubmissionOrder
from shoal.client.core.replay import hold_back_unneeded, introduce, tell_held_back, with_inputs
from shoal.client.core.state import (
    CANCELLED,
    ERROR,
    FINISHED,
    LOST,
    PENDING,
    ClientState,
    Failure,
    Record,
    Status,
)
from shoal.wire import messages as m

if TYPE_CHECKING:
    from shoal.client.core.state import Function

__all__ = ["Machine"]

# Seconds on one connection after which the workers that the scheduler named are all there are.
_SETTLED = 10.0


class Machine:
    """The state machine of one client.

    Parameters
    ----------
    client : str
        The client's id.
    name : str, optional
        The client's name for people.
    versions : dict
        Versions of the software here, for the scheduler to compare.
    first_life : int
        Lives of keys are numbered from here. No other client, nor an earlier one, may use these
        numbers; `shoal.client.session.session` makes them of the time and the client's id.
    """

    def __init__(
        self,
        client: str,
        name: str | None = None,
        versions: dict[str, Any] | None = None,
        first_life: int = 0,
    ) -> None:
        self.state = ClientState(client, name, versions or {}, first_life)
        self.asks = Asks()
        self.order = SubmissionOrder(self._carry_out, self._refuse)
        self._effects = Effects()
        self._now = 0.0
        self._loosened: list[str] = []  # needed by less than before this event
        self._handlers: dict[type, Callable[[Any], None]] = {
            e.Connected: self._connected,
            e.Disconnected: self._disconnected,
            e.GaveUp: self._gave_up,
            e.FromScheduler: self._from_scheduler,
            e.Submitted: self._submitted,
            e.PutAgain: self._put_again,
            e.Released: self._released,
            e.GraphAnnounced: self.order.announce,
            e.GraphPart: self.order.take_part,
            e.GraphComplete: self.order.complete,
            e.Interrupted: self._interrupted,
            e.CancelRequested: self._cancel_requested,
            e.RetryRequested: self._retry_requested,
            e.FireRequested: self._fire_requested,
            e.RequestMade: self._request_made,
            e.Unasked: self._unasked,
            e.TookAnswer: self._took_answer,
            e.Spoke: self._spoke,
            e.Closed: self._closed,
        }
        self._message_handlers: dict[type, Callable[[Any], None]] = {
            m.KeysInMemory: self._on_memory,
            m.KeyErred: self._on_erred,
            m.KeysPending: self._on_pending,
            m.KeysLost: self._on_lost,
            m.KeysCancelled: self._on_cancelled,
            m.KeysShared: self._on_shared,
            m.WorkersChanged: self._on_workers,
            m.ClientWelcome: self._on_welcome,
            m.Restarted: self._on_restarted,
            m.Answer: self.asks.answered,
            m.Published: self._on_news,
            m.Subscribers: self._on_news,
            m.TopicEvent: self._on_event,
            m.SchedulerClosing: self._on_closing,
        }

    def handle(self, event: e.Event, now: float) -> Effects:
        """Take one event in and return all that it leads to."""
        effects = self._effects = Effects()
        self._now = now
        if self.order.graphs:
            self.order.take(event)
        else:
            self._handlers[type(event)](event)
        if self.asks.freed:
            freed, self.asks.freed = self.asks.freed, []
            self._released(e.Released(freed))
        if self._loosened:
            hold_back_unneeded(self.state, self._loosened)
            self._loosened = []
        if self.state.idle_functions and self.state.connected:
            effects.messages += forget_functions(self.state)
        return effects

    def _carry_out(self, event: e.Event) -> None:
        self._handlers[type(event)](event)

    # -------------------------------------------------------------- connection

    def _connected(self, event: e.Connected) -> None:
        s = self.state
        if s.ended is not None:
            return
        s.connected = True
        s.connected_at = self._now
        untell_functions(s)
        self._effects.messages, self._effects.cuts = introduce(s)
        self._effects.messages += self.asks.connect()

    def _disconnected(self, event: e.Disconnected) -> None:
        s = self.state
        if s.connected and self._now - s.connected_at > _SETTLED:
            s.known_workers.clear()
        # A scheduler that was gone so soon had not heard of all workers that came back to it.
        s.known_workers.update(s.workers)
        s.connected = False
        s.held_back = {}
        untell_functions(s)
        self.asks.disconnect()

    def _gave_up(self, event: e.GaveUp) -> None:
        self._end(event.reason)

    def _closed(self, event: e.Closed) -> None:
        if self.state.connected:
            self._effects.messages.append(m.ClientGoodbye())
        self._end(event.reason)

    def _end(self, reason: str) -> None:
        s = self.state
        if s.ended is None:
            s.ended = self._effects.ended = reason
        s.connected = False
        self.asks.end(reason)
        self._forget_all(reason)
        untell_functions(s)

    def _forget_all(self, reason: str) -> list[str]:
        """Cancel everything; return the keys there were."""
        s = self.state
        s.over = True
        records, s.records = s.records, {}
        s.held_back = {}
        s.fired = {}
        self.asks.left.clear()
        self.order.end(reason)
        for record in records.values():
            record.dependents = 0
            if record.wanted:
                self._finish_off(record, CANCELLED, reason)
            if record.call is not None:
                self._leave_function(record.call.function)
        return list(records)

    # -------------------------------------------------------------- the user's side

    def draw_life(self) -> int:
        """Return the number of a life that begins before the scheduler is told of it."""
        s = self.state
        s.over = False
        s.told += STEP
        return s.told

    def _submitted(self, event: e.Submitted) -> None:
        s = self.state
        records = event.records
        if s.ended is not None:
            for record in records:
                self._finish_off(record, CANCELLED, s.ended)
            return
        table = s.records
        told: list[Record] = []
        call = records[0].call if records else None
        by_key = {record.key: record for record in records}
        if (
            call is not None
            and len(by_key) == len(records)
            and not s.held_back
            and table.keys().isdisjoint(by_key)
            and [record.call for record in records].count(call) == len(records)
            and {record.deps for record in records} == {()}
            and False not in {record.wanted for record in records}
        ):
            # A `map`, mostly; what follows leads to the same, one by one.
            table.update(by_key)
            call.function.tasks += len(records)
            if s.connected:
                self._effects.messages += tell_records(s, records)
            return
        for record in records:
            key = record.key
            old = table.get(key)
            if old is not None and record.wanted and means_another(old, record):
                set_aside(s, old)
                old = None
            if old is None:
                table[key] = record
                if record.call is not None:
                    record.call.function.tasks += 1
                if record.deps:
                    self._link(record)
            elif record.wanted:
                self._succeed(old, record)
            elif self._define(old, record):
                record = old
            else:
                continue
            told.append(record)
        idle = [record for record in told if not record.wanted and not record.dependents]
        for record in idle:
            if table.get(record.key) is record:
                self._drop(record)
        if idle or self._effects.changed:  # some of them were refused
            told = [record for record in told if table.get(record.key) is record]
        records = told
        if s.held_back and s.connected:
            s.held_back.update((record.key, record) for record in records)
            self._effects.messages += tell_held_back(s, with_inputs(s, records))
        elif records and s.connected:
            self._effects.messages += tell_records(s, records)

    def _link(self, record: Record) -> None:
        table = self.state.records
        for dep in record.deps:
            source = table.get(dep)
            if source is None:
                source = table[dep] = Record(dep, wanted=False)
            source.dependents += 1

    def _succeed(self, old: Record, new: Record) -> None:
        """A record takes the place of one with its key, which others still depend on.

        The scheduler keeps the definition it has, and so does the client.
        """
        s = self.state
        if old is new:
            return
        if old.call is not None:
            new.call, new.args, new.deps, new.extras = old.call, old.args, old.deps, old.extras
            new.position = old.position
            new.life = life_of(old)
        else:
            if needs(s, new.deps, new.key):
                self._finish_off(new, CANCELLED, f"{new.key} would depend on itself")
                return
            if new.call is not None:
                new.call.function.tasks += 1
            self._link(new)
        new.dependents = old.dependents
        if old.wanted and inherit(old, new):
            self._effects.changed.append(new)
        s.records[new.key] = new
        if new.key in s.fired:
            s.fired[new.key] = False
        self.asks.left.pop(new.key, None)
        if new.key in s.held_back:
            s.held_back[new.key] = new

    def _define(self, old: Record, new: Record) -> bool:
        """Let a record of a key that nobody could compute know how; return whether that was so."""
        s = self.state
        is_data = old.extras is not None and old.extras.holders
        if old.call is not None or is_data or needs(s, new.deps, new.key):
            return False
        assert new.call is not None
        old.call, old.args, old.deps, old.extras = new.call, new.args, new.deps, new.extras
        old.position = new.position
        new.call.function.tasks += 1
        self._link(old)
        return True

    def _released(self, event: e.Released) -> None:
        s = self.state
        table = s.records
        carried = self.asks.carried
        gone: list[str] = []
        for key in event.keys:
            record = table.get(key)
            if record is None or not record.wanted:
                continue
            if carried and key in carried:
                self.asks.left[key] = None
                continue
            if key in s.fired:
                if record.status == PENDING:
                    s.fired[key] = True
                    continue
                del s.fired[key]
            record.wanted = False
            s.over = True
            if key not in s.held_back:
                gone.append(key)
            if not record.dependents:
                self._drop(record)
            elif s.held_back:
                self._loosened.append(key)
        if gone and s.connected:
            self._effects.messages.append(m.Release(gone))

    def _put_again(self, event: e.PutAgain) -> None:
        s, new = self.state, event.record
        known = s.records.get(new.key)
        if known is not None and known.wanted and new.key not in s.held_back and s.connected:
            s.over = True  # words of before are not about these copies
            self._effects.messages += tell_records(s, [new])
            known.told, known.life = new.told, life_of(new)

    def _interrupted(self, event: e.Interrupted) -> None:
        """Say it all again; a scheduler that heard it before takes no notice."""
        s = self.state
        for record in event.records:
            if record.call is not None:
                untell_function(s, record.call.function)
        take = self.order.take if self.order.at_work else self._carry_out
        take(e.Submitted(event.records))
        take(e.Released(event.released))
        known = s.records
        gone = [key for key in event.released if key not in known or not known[key].wanted]
        if gone and s.connected:
            self._effects.messages.append(m.Release(gone))

    def _cancel_requested(self, event: e.CancelRequested) -> None:
        s = self.state
        doomed = with_dependents(s, (key for key in event.keys if key in s.records))
        told = [key for key in doomed if key not in s.held_back]
        if told and s.connected:
            self._effects.messages.append(m.Cancel(told, event.force, event.reason))
        self._give_up_all(doomed.values(), CANCELLED, event.reason)

    def _retry_requested(self, event: e.RetryRequested) -> None:
        s = self.state
        failed = [s.records[key] for key in event.keys if key in s.records]
        failed = [record for record in failed if record.status == ERROR]
        told = [record.key for record in failed if record.key not in s.held_back]
        for record in failed:
            self._wait_again(record)
        if not s.connected:
            return
        if told:
            self._effects.messages.append(m.Retry(told))
        again = with_inputs(s, [record for record in failed if record.key in s.held_back])
        for record in again:
            if record.status == ERROR:
                self._wait_again(record)
        self._effects.messages += tell_held_back(s, again)

    def _fire_requested(self, event: e.FireRequested) -> None:
        s = self.state
        keys = [key for key in event.keys if key in s.records]
        s.fired.update((key, False) for key in keys if s.records[key].status == PENDING)
        if keys and s.connected:
            self._effects.messages.append(m.FireAndForget(keys))

    # -------------------------------------------------------------- primitives

    def _request_made(self, event: e.RequestMade) -> None:
        self._effects.messages += self.asks.ask(event.asking)

    def _unasked(self, event: e.Unasked) -> None:
        asks = self.asks
        give_up = asks.abandon if event.back else asks.unask
        self._effects.messages += give_up(event.asking)

    def _took_answer(self, event: e.TookAnswer) -> None:
        self._effects.messages += self.asks.took(event.asking)

    def _spoke(self, event: e.Spoke) -> None:
        if self.state.connected:
            self._effects.messages += event.messages

    def _on_event(self, msg: m.TopicEvent) -> None:
        self._effects.events.append(msg)

    def _on_news(self, msg: m.Published | m.Subscribers) -> None:
        self._effects.news.append(msg)

    # -------------------------------------------------------------- the scheduler's side

    def _from_scheduler(self, event: e.FromScheduler) -> None:
        handlers = self._message_handlers
        for message in event.messages:
            handlers[type(message)](message)
        if self.asks.lost:
            self._effects.lost = self.asks.take_lost()

    def _on_memory(self, msg: m.KeysInMemory) -> None:
        table = self.state.records
        changed = self._effects.changed
        holders = iter(msg.holders)
        done: list[str] = []
        last = ""
        heard = self._heard(msg.heard)
        for key, type_name, value in zip(msg.keys, msg.types, msg.values, strict=True):
            holder = next(holders) if value is None else ""
            record = table.get(key)
            if record is None or not record.wanted or record.told > heard:
                continue
            if type_name == last:
                type_name = last  # one text for all that are equal
            else:
                last = type_name
            record.type = type_name
            record.value = value
            if record.holder != holder:
                record.holder = holder
            if record.why is not None:
                record.why = None
            record.status = FINISHED
            changed.append(record)
            done.append(key)
        self._fired_are_done(done)

    def _heard(self, heard: int) -> int:
        """Return up to where the scheduler had heard: later ones are of other lives than it means.

        A caller that does not say so means the data that there is.
        """
        return heard or self.state.told

    def _on_erred(self, msg: m.KeyErred) -> None:
        record = self.state.records.get(msg.key)
        if record is None or not record.wanted or record.told > self._heard(msg.heard):
            return
        record.value = None
        record.type = ""
        record.why = Failure(msg.exception, msg.traceback, msg.blame)
        record.status = ERROR
        self._effects.changed.append(record)
        self._fired_are_done([msg.key])

    def _fired_are_done(self, keys: list[str]) -> None:
        fired = self.state.fired
        if not fired:
            return
        forgotten = [key for key in keys if fired.pop(key, False)]
        if forgotten:
            self._released(e.Released(forgotten))

    def _on_pending(self, msg: m.KeysPending) -> None:
        heard = self._heard(msg.heard)
        for key in msg.keys:
            record = self.state.records.get(key)
            if record is None or record.told > heard:
                continue
            if record.wanted and record.status != PENDING:
                self._wait_again(record)

    def _wait_again(self, record: Record) -> None:
        record.status = PENDING
        record.value = None
        record.why = None
        self._effects.changed.append(record)

    def _on_lost(self, msg: m.KeysLost) -> None:
        self._give_up(msg.keys, LOST, msg.reason, msg.heard)

    def _on_cancelled(self, msg: m.KeysCancelled) -> None:
        self._give_up(msg.keys, CANCELLED, msg.reason, msg.heard)

    def _on_shared(self, msg: m.KeysShared) -> None:
        heard = self._heard(msg.heard)
        for key, life in zip(msg.keys, msg.lives, strict=True):
            record = self.state.records.get(key)
            if record is not None and record.told <= heard:
                record.life = life

    def _give_up(self, keys: list[str], status: Status, reason: str, heard: int) -> None:
        heard = self._heard(heard)
        found = [self.state.records.get(key) for key in keys]
        meant = [r for r in found if r is not None and r.told <= heard]
        self._give_up_all(meant, status, reason)

    def _on_workers(self, msg: m.WorkersChanged) -> None:
        for address in msg.removed:
            self.state.workers.pop(address, None)
            self.state.known_workers.pop(address, None)
        self.state.workers.update(dict.fromkeys(msg.added))
        self._effects.workers_changed = True

    def _on_welcome(self, msg: m.ClientWelcome) -> None:
        self.state.scheduler = msg.scheduler
        self.state.workers = dict.fromkeys(msg.workers)
        self._effects.workers_changed = True

    def _on_restarted(self, msg: m.Restarted) -> None:
        keys = self._forget_all("the cluster was restarted")
        if keys and self.state.connected:
            # Messages sent while the scheduler restarted are still known to it.
            self._effects.messages.append(m.Release(keys))

    def _on_closing(self, msg: m.SchedulerClosing) -> None:
        self._end(msg.reason or "the scheduler was closed")

    # -------------------------------------------------------------- the ends of records

    def _finish_off(self, record: Record, status: Status, reason: str) -> None:
        self.state.over = True
        record.wanted = False
        record.value = None
        record.why = reason
        record.status = status
        self._effects.changed.append(record)

    def _refuse(self, record: Record, why: Failure | str) -> None:
        """End a record that the scheduler never hears of."""
        record.wanted = False
        record.why = why
        record.status = ERROR if isinstance(why, Failure) else CANCELLED
        self._effects.refused.append(record)
        self._effects.changed.append(record)

    def _give_up_all(self, records: Iterable[Record], status: Status, reason: str) -> None:
        ended = list(records)
        if self.order.at_work and status == CANCELLED:
            self.order.gone.update((record.key, reason) for record in ended)
        for record in ended:
            self.state.fired.pop(record.key, None)
            self.asks.left.pop(record.key, None)
            if record.wanted:
                self._finish_off(record, status, reason)
        for record in ended:
            if self.state.records.get(record.key) is not record:
                continue
            if not record.dependents:
                self._drop(record)
            elif self.state.held_back:
                self._loosened.append(record.key)

    def _drop(self, record: Record) -> None:
        """Forget a record that nothing refers to, and then those that only it referred to."""
        s = self.state
        table = s.records
        stack = [record]
        while stack:
            record = stack.pop()
            del table[record.key]
            if s.held_back:
                s.held_back.pop(record.key, None)
            call = record.call
            if call is not None:
                self._leave_function(call.function)
            for dep in record.deps:
                source = table[dep]
                source.dependents -= 1
                if source.wanted:
                    continue
                if not source.dependents:
                    stack.append(source)
                elif s.held_back:
                    self._loosened.append(dep)

    def _leave_function(self, function: Function) -> None:
        function.tasks -= 1
        if not function.tasks:
            idle_function(self.state, function)
