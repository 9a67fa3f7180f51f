"""The scheduler's core: one event in, one ordered batch of effects out.

The core is pure. It touches no socket, clock, thread, file, logger or configuration, and unpickles
nothing: what users send are opaque bytes here. The same object runs in a real scheduler process, in
an in-process cluster and in the simulator.
"""

from __future__ import annotations

from collections import deque
from math import inf
from typing import TYPE_CHECKING, Any

from shoal.errors import ProtocolError
from shoal.scheduler.core import events as e
from shoal.scheduler.core.effects import Effects
from shoal.scheduler.core.handlers.client import (
    CLIENT_HANDLERS,
    cancel_tasks,
    client_lost,
    on_hello,
)
from shoal.scheduler.core.handlers.copies import drop_copies, make_copies, pin_copies
from shoal.scheduler.core.handlers.membership import (
    check_retiring,
    register_worker,
    retire_worker,
    worker_lost,
)
from shoal.scheduler.core.handlers.timers import (
    end_recovery_if_due,
    is_idle,
    lateness,
    next_deadline,
    on_tick,
    pass_over,
    why_idle,
)
from shoal.scheduler.core.handlers.worker import WORKER_HANDLERS
from shoal.scheduler.core.invariants import check
from shoal.scheduler.core.journal.recipes import note_plugin
from shoal.scheduler.core.journal.recorder import NOTE, Change, Recorder
from shoal.scheduler.core.journal.restoring import restore
from shoal.scheduler.core.journal.snapshot import snapshot
from shoal.scheduler.core.outgoing import collect, tell_client, tell_free, tell_worker
from shoal.scheduler.core.policies.ahead import send_ahead
from shoal.scheduler.core.policies.load import update_room
from shoal.scheduler.core.policies.placement import fill_workers, place_ready
from shoal.scheduler.core.policies.stealing import balance
from shoal.scheduler.core.slices import busy, carry_on, finish_work, start, unfinished, used_much
from shoal.scheduler.core.state import SchedulerState
from shoal.scheduler.core.transitions.demand import drop_unneeded, drop_want
from shoal.scheduler.core.transitions.losing import lose_copies
from shoal.wire import messages as m

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from shoal.scheduler.core.settings import Settings
    from shoal.scheduler.core.state import ClientState

__all__ = ["Machine"]


class Machine:
    """The scheduler without its process.

    Parameters
    ----------
    settings : Settings
        The settings.
    scheduler_id : str
        Names this incarnation; a scheduler that starts anew has another one.
    now : float
        The time, in seconds on the clock of all later events.
    first_run : int
        Runs are numbered from here. It must be larger than any number an earlier scheduler at the
        same address used; microseconds since the epoch will do.
    journal : iterable of changes, optional
        The contents of a journal; an empty one begins a journal. None: there is none.
    wall : float
        To be added to the time for seconds since the epoch; only a journal needs it.

    Examples
    --------
    >>> from shoal.scheduler.core import FromClient, Machine, Settings
    >>> from shoal.wire.messages import ClientHello
    >>> machine = Machine(Settings(), "scheduler-1", now=0.0, first_run=0)
    >>> effects = machine.handle(FromClient("c", [ClientHello("c", None, {}, False, [])]), now=0.0)
    >>> effects.to_clients["c"]
    [ClientWelcome(scheduler='scheduler-1', workers=[])]
    """

    def __init__(
        self,
        settings: Settings,
        scheduler_id: str,
        *,
        now: float = 0.0,
        first_run: int = 0,
        journal: Iterable[Change] | None = None,
        wall: float = 0.0,
    ) -> None:
        self.state = SchedulerState(settings, scheduler_id, now, first_run)
        if journal is not None:
            restore(self.state, Recorder(wall), journal)
        self._close_clients: list[tuple[str, str]] = []
        self._more = False  # a `Continue` is due: what comes before has what is left of its slice
        self._too_late = inf  # an event after this, and no tick before: this process was stopped
        self._grace = lateness(settings)
        self._handlers: dict[type, Callable[[Any], None]] = {
            e.FromWorker: self._from_worker,
            e.FromClient: self._from_client,
            e.Tick: self._tick,
            e.Continue: self._continue,
            e.WorkerLost: self._worker_lost,
            e.ClientLost: self._client_lost,
            e.RetireWorkers: self._retire_workers,
            e.RestartAll: self._restart_all,
            e.CancelTasks: self._cancel_tasks,
            e.HoldersFailed: self._holders_failed,
            e.Move: self._move,
            e.DropCopies: self._drop_copies,
            e.PinCopies: self._pin_copies,
            e.LogEvent: self._log_event,
            e.SetMetadata: self._set_metadata,
            e.SetPlugin: self._set_plugin,
        }

    def handle(self, event: e.Event, now: float) -> Effects:
        """Take one event into account and return all that follows from it."""
        s = self.state
        if now > self._too_late:
            pass_over(s, now - s.now)
        s.now = now
        if not self._more or type(event) is e.Continue:
            s.budget = s.settings.slice
        s.stimuli += 1
        s.stimulus = f"{type(event).__name__}-{s.stimuli}"
        self._handlers[type(event)](event)
        self._settle()
        s.log.trim()
        to_workers, to_clients = collect(s)
        recorder = s.recorder
        journal = recorder.take() if recorder is not None and recorder.changed else ()
        effects = Effects(journal, to_workers, to_clients)
        if s.outbox.close_workers:
            effects.close_workers, s.outbox.close_workers = s.outbox.close_workers, []
        if s.outbox.rejected:
            effects.rejected, s.outbox.rejected = s.outbox.rejected, []
        if self._close_clients:
            effects.close_clients, self._close_clients = self._close_clients, []
        if s.outbox.left_clients:
            effects.left_clients, s.outbox.left_clients = s.outbox.left_clients, []
        if s.outbox.retired:
            effects.retired, s.outbox.retired = s.outbox.retired, []
        if s.outbox.not_retired:
            effects.not_retired, s.outbox.not_retired = s.outbox.not_retired, []
        effects.more = self._more = unfinished(s) or used_much(s)
        effects.idle = is_idle(s)
        effects.next_deadline = deadline = next_deadline(s)
        self._too_late = inf if deadline is None else deadline + self._grace
        if s.settings.validate:
            check(s)
        return effects

    def why_idle(self) -> str:
        """Return why `Effects.idle` was told."""
        return why_idle(self.state)

    def snapshot(self) -> list[Change]:
        """Return all that a journal has to say at this moment."""
        return snapshot(self.state)

    def _settle(self) -> None:
        """Follow up on what the event changed, until all is done or the budget is spent."""
        s = self.state
        while True:
            if s.work:
                carry_on(s)
            if s.unneeded:
                drop_unneeded(s)
            if s.outbox.stale_functions:
                self._forget_functions()  # before anything is assigned that defines them anew
            if s.recovery.until is not None:
                end_recovery_if_due(s)
            if s.departures.retiring:
                check_retiring(s)
            update_room(s)
            if s.recovery.until is None:
                while s.ready and s.budget > 0:
                    place_ready(s)
                if s.refill or (s.queue.size and s.open):
                    fill_workers(s)
                if s.ahead_candidates:
                    send_ahead(s)
            if s.budget <= 0:
                break
            if not busy(s):
                if not s.inbox:
                    break
                self._listen()
        if s.recovery.until is None and (s.crowded or s.loaded) and s.idle:
            balance(s)
        s.ahead_candidates.clear()

    def _forget_functions(self) -> None:
        s = self.state
        stale, s.outbox.stale_functions = s.outbox.stale_functions, {}
        for ws, ids in stale.items():
            tell_worker(s, ws, m.ForgetFunctions(ids))

    # ------------------------------------------------------------------ events

    def _from_worker(self, event: e.FromWorker) -> None:
        s = self.state
        ws = s.workers.get(event.address)
        messages = event.messages
        if ws is None:
            first = messages[0] if messages else None
            if type(first) is not m.RegisterWorker:
                s.outbox.close_workers.append((event.address, "it is not registered"))
                return
            refused = register_worker(s, first)
            if refused is not None:
                s.outbox.rejected.append((event.address, refused))
                return
            ws = s.workers[event.address]
            messages = messages[1:]
        ws.last_seen = s.now
        s.touched_workers[ws] = None
        for message in messages:
            handler = WORKER_HANDLERS.get(type(message))
            if handler is None:
                s.outbox.close_workers.append(
                    (event.address, f"unexpected {type(message).__name__}")
                )
                return
            handler(s, ws, message)

    def _from_client(self, event: e.FromClient) -> None:
        s = self.state
        client = s.clients.get(event.client)
        messages = event.messages
        if client is None:
            first = messages[0] if messages else None
            if type(first) is not m.ClientHello:
                self._close_clients.append((event.client, "it did not say hello"))
                return
            client = on_hello(s, event.client, first)
            messages = messages[1:]
        client.last_seen = s.now
        s.inbox.append((client, messages))
        self._listen()

    def _listen(self) -> None:
        """Take clients' batches into account, in their order."""
        s = self.state
        inbox = s.inbox
        while inbox and s.budget > 0 and not busy(s):
            client, messages = inbox.popleft()
            rest = self._hear(client, messages)
            if rest:
                inbox.appendleft((client, rest))

    def _hear(self, client: ClientState, messages: list[Any]) -> list[Any]:
        """Take a batch into account, as far as the budget allows; return the rest.

        It is not parted where a graph brought what the next one only may need, which would be
        dropped before.
        """
        s = self.state
        for i, message in enumerate(messages):
            if s.clients.get(client.id) is not client:
                break  # it said goodbye
            handler = CLIENT_HANDLERS.get(type(message))
            try:
                if handler is None:
                    raise ProtocolError(f"unexpected {type(message).__name__}")
                handler(s, client, message)
            except ProtocolError as error:
                self._close_clients.append((client.id, str(error)))
                self._take_from_inbox(client)
                break
            if s.work or (s.unneeded and type(message) is m.Release):
                return messages[i + 1 :]
            if s.budget <= 0 and not s.unneeded:
                return messages[i + 1 :]
        return []

    def _take_from_inbox(self, client: ClientState) -> list[Any]:
        """Return what a client has said, and nobody has heard yet."""
        s = self.state
        unheard = [message for who, batch in s.inbox if who is client for message in batch]
        if unheard:
            s.inbox = deque((who, batch) for who, batch in s.inbox if who is not client)
        return unheard

    def _hear_all(self, client: ClientState, messages: list[Any]) -> None:
        """Take messages into account at once, whatever it takes."""
        while messages:
            messages = self._hear(client, messages)
            finish_work(self.state)  # the next message may mean another life of a released key

    def _continue(self, event: e.Continue) -> None:
        """Nothing happened: what was left to do is done as after every event."""

    def _tick(self, event: e.Tick) -> None:
        on_tick(self.state)

    def _worker_lost(self, event: e.WorkerLost) -> None:
        ws = self.state.workers.get(event.address)
        if ws is not None:
            worker_lost(
                self.state,
                ws,
                event.reason,
                event.expected,
                event.dead,
                event.running,
                event.overdue,
            )

    def _client_lost(self, event: e.ClientLost) -> None:
        client = self.state.clients.get(event.client)
        if client is None:
            return
        self._hear_all(client, self._take_from_inbox(client))
        if self.state.clients.get(event.client) is client:
            client_lost(self.state, client, graceful=False)

    def _retire_workers(self, event: e.RetireWorkers) -> None:
        s = self.state
        for address in event.addresses:
            ws = s.workers.get(address)
            if ws is None:
                continue
            if ws.status == "closing":  # it was retired already: nobody need wait for that
                s.outbox.retired.append(address)
            elif ws in s.departures.retiring and event.within is None:
                ws.close_when_retired |= event.close
            else:
                retire_worker(s, ws, event.close, within=event.within)

    def _restart_all(self, event: e.RestartAll) -> None:
        s = self.state
        finish_work(s)
        while s.inbox:
            self._hear_all(*s.inbox.popleft())
            finish_work(s)
        why = "the cluster was restarted"
        start(s, cancel_tasks(s, None, list(s.tasks), True, why, processes_end=True))
        finish_work(s)
        for pseudo in (s.adopted, s.fire_and_forget):
            for ts in list(pseudo.wants.values()):
                drop_want(s, pseudo, ts)
            pseudo.wants.clear()
        s.adopted_until.clear()
        for client in s.clients.values():
            tell_client(s, client, m.Restarted())

    def _cancel_tasks(self, event: e.CancelTasks) -> None:
        start(self.state, cancel_tasks(self.state, None, event.keys, True, event.reason))

    def _holders_failed(self, event: e.HoldersFailed) -> None:
        s = self.state
        ts = s.tasks.get(event.key)
        if ts is None:
            return
        for address in event.addresses:
            ws = s.workers.get(address)
            if ws is not None and ws in ts.who_has:
                lose_copies(s, [ts], ws)
                tell_free(s, ws, event.key, ts.life)

    def _move(self, event: e.Move) -> None:
        make_copies(self.state, event)

    def _drop_copies(self, event: e.DropCopies) -> None:
        drop_copies(self.state, event)

    def _pin_copies(self, event: e.PinCopies) -> None:
        pin_copies(self.state, event)

    def _set_metadata(self, event: e.SetMetadata) -> None:
        s = self.state
        place: Any = s.notes.metadata
        for key in event.keys[:-1]:
            if type(place.get(key)) is not dict:
                place[key] = {}
            place = place[key]
        place[event.keys[-1]] = event.value
        if s.recorder is not None:
            first = event.keys[0]
            s.recorder.put(NOTE, first, s.notes.metadata[first])

    def _set_plugin(self, event: e.SetPlugin) -> None:
        s = self.state
        key = (event.kind, event.name)
        if event.plugin is None:
            s.notes.plugins.pop(key, None)
        else:
            s.notes.plugins[key] = event.plugin
        if s.recorder is not None:
            note_plugin(s.recorder, key, event.plugin)

    def _log_event(self, event: e.LogEvent) -> None:
        self.state.log_event(event.topic, event.message)
