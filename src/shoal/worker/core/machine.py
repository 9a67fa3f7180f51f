"""The worker's core: one event in, one ordered batch of effects out.

The core is pure. It touches no socket, clock, thread, file, logger or configuration, and no value:
functions, arguments and results are opaque bytes or sizes here. The same object runs in a real
worker and in the simulator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shoal.wire import messages as m
from shoal.worker.core import data, events, fetch, limits
from shoal.worker.core.admission import admit, begun, guard, refuse_unfetched
from shoal.worker.core.effects import Effects, Registration
from shoal.worker.core.invariants import check
from shoal.worker.core.memory import evicted, make_room, measured
from shoal.worker.core.state import TaskRun, WorkerState
from shoal.worker.core.transitions import (
    WITH_EXECUTOR,
    add_run,
    add_runs,
    end_run,
    free_run,
    give_up_unmade,
    held_back,
    set_resources,
    take_out_stillborn,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from shoal.worker.core.settings import Settings

__all__ = ["Machine"]

_LARGE = 2**16  # bytes: sizes of larger results are learnt


class Machine:
    """The worker without its process.

    Parameters
    ----------
    settings : Settings
        The settings.

    Examples
    --------
    >>> from shoal.wire.messages import Compute
    >>> from shoal.worker.core import Connected, FromScheduler, Machine, Outcome, Outcomes, Settings
    >>> machine = Machine(Settings())
    >>> machine.handle(Connected(), now=0.0).register.held
    []
    >>> task = Compute("x", 1, b"function", b"arguments", (0.0, 0, 0), 0.001, False)
    >>> machine.handle(FromScheduler([task]), now=0.0).execute
    [<TaskRun 'x' run 1, ready>]
    >>> outcome = Outcome("x", 1, "ok", start=5.0, stop=6.0, nbytes=28, type="int")
    >>> [message] = machine.handle(Outcomes([outcome]), now=1.0).send
    >>> message.keys, message.nbytes
    (['x'], [28])
    """

    def __init__(self, settings: Settings) -> None:
        self.state = WorkerState(settings, Effects())
        self._handlers: dict[type, Callable[[Any], None]] = {
            events.FromScheduler: self._from_scheduler,
            events.Outcomes: self._outcomes,
            events.Revoked: self._revoked,
            events.Fetched: self._fetched,
            events.FetchFailed: self._fetch_failed,
            events.Seceded: self._seceded,
            events.Started: self._started,
            events.Interrupted: self._interrupted,
            events.DataAdded: self._data_added,
            events.DataLost: self._data_lost,
            events.MemoryMeasured: self._memory_measured,
            events.Evicted: self._evicted,
            events.ResourcesSet: self._resources_set,
            events.Connected: self._connected,
            events.Disconnected: self._disconnected,
            events.Tick: self._tick,
            events.Close: self._close,
        }
        self._messages: dict[type, Callable[[Any], None]] = {
            m.ComputeMany: self._on_compute_many,
            m.Free: self._on_free,
            m.Interrupt: self._on_interrupt,
            m.Steal: self._on_steal,
            m.Acquire: self._on_acquire,
            m.DefineFunctions: self._on_define,
            m.ForgetFunctions: self._on_forget,
            m.WorkerWelcome: self._on_welcome,
            m.WorkerRejected: self._on_rejected,
            m.CloseWorker: self._on_close,
            m.CallBack: self._on_call_back,
        }

    def handle(self, event: events.Event, now: float) -> Effects:
        """Take one event into account and return all that follows from it."""
        s = self.state
        s.now = now
        effects = s.effects = Effects()
        self._handlers[type(event)](event)
        if s.limits:
            limits.act_on_due(s)
        if s.unmade:
            give_up_unmade(s)
        if s.requests and s.guard is None and s.budget.limit:
            guard(s)
        if s.guard is not None:
            admit(s)
            if s.unmade:  # inputs of what was held are gone
                give_up_unmade(s)
        if s.missing_keys or s.peers:
            if s.retries:
                fetch.retry_due(s)
            fetch.plan(s)
        if s.guard is not None:
            refuse_unfetched(s, s.guard)
            make_room(s, s.guard)
        if s.landed or s.missed:
            data.report(s)
        if effects.discard and effects.execute:
            take_out_stillborn(s)
        if s.retries:
            effects.deadline = fetch.deadline(s)
        if s.limits:
            due = s.next_limit
            effects.deadline = due if effects.deadline is None else min(due, effects.deadline)
        if s.settings.validate:
            check(self)
        return effects

    def registration(self) -> Registration:
        """Return what the scheduler should know of this worker's data and runs."""
        s = self.state
        running = [task for task in s.tasks.values() if task.state in WITH_EXECUTOR]
        return Registration(
            held=list(s.data),
            held_nbytes=[nbytes for nbytes, _, _ in s.data.values()],
            held_types=[type_name for _, type_name, _ in s.data.values()],
            running=[task.key for task in running],
            running_runs=[task.run for task in running],
            status="paused" if s.paused else "running",
            held_lives=fetch.named([life for _, _, life in s.data.values()]),
            running_lives=fetch.named([task.compute.life for task in running]),
        )

    def holds(self, key: str, life: int) -> bool:
        """Return whether data of this life of a key is here."""
        return fetch.holds(self.state, key, life)

    def where(self, key: str) -> str | None:
        """Return the state of a key's run, ``"memory"`` for data, None for an unknown key."""
        s = self.state
        task = s.tasks.get(key)
        if task is not None:
            return task.state
        return "memory" if key in s.data else None

    # ------------------------------------------------------------------ connection

    def _connected(self, event: events.Connected) -> None:
        s = self.state
        s.connected = True
        used = {task.compute.function for task in s.tasks.values()}
        s.effects.forget = [function for function in s.functions if function not in used]
        s.functions &= used
        s.also.clear()  # which of them counts, this scheduler says of the one that it is told
        s.effects.register = self.registration()

    def _disconnected(self, event: events.Disconnected) -> None:
        """Keep data and what executes; the executor says next which runs do (`Revoked`)."""
        s = self.state
        s.connected = False
        for task in list(s.tasks.values()):
            if task.state in ("waiting", "constrained", "held"):
                end_run(s, task)
            elif task.state in ("ready", "returning", "recalled"):
                task.state = "returning"
                s.effects.revoke.append(task)
        fetch.forget_all(s)
        s.constrained.clear()
        s.landed.clear()
        s.missed.clear()
        s.unmade.clear()

    def _close(self, event: events.Close) -> None:
        s = self.state
        if s.connected and not s.closing:
            s.effects.send.append(m.WorkerGoodbye(event.reason))
        s.closing = True
        s.effects.close = (event.reason, False)

    def _resources_set(self, event: events.ResourcesSet) -> None:
        s = self.state
        set_resources(s, event.resources)
        if s.connected:
            s.effects.send.append(m.ResourcesChanged(event.resources))

    def _tick(self, event: events.Tick) -> None:
        """Do nothing: all that is due is done after every event."""

    # ------------------------------------------------------------------ the executor

    def _outcomes(self, event: events.Outcomes) -> None:
        s = self.state
        tasks = s.tasks
        known = s.data
        missing_keys = s.missing_keys
        guarded, large = s.guard is not None, _LARGE
        ok: list[events.Outcome] = []
        # Results in a row mostly are of one size, type and life.
        like: tuple[int, str, int] = (-1, "", 0)
        for outcome in event.outcomes:
            key = outcome.key
            run = outcome.run
            task = tasks.get(key)
            if task is None or task.run != run or task.state not in WITH_EXECUTOR:
                orphan = s.orphans.get((key, run))
                if orphan is not None:
                    end_run(s, orphan)
                continue
            if outcome.kind != "ok":
                self._not_ok(task, outcome, ok)
                continue
            if guarded or outcome.nbytes > large:
                s.budget.learn(task.compute.function, outcome.nbytes)
            if task.need or guarded:
                end_run(s, task)
            else:  # as end_run does, for the most frequent case
                task.state = "ended"
                del tasks[key]
            if missing_keys and key in missing_keys:
                data.came(s, key, outcome.nbytes, outcome.type, task.compute.life)
                if key in missing_keys:  # another life of it is waited for
                    s.unmade.append(key)
            else:
                life = task.compute.life
                if outcome.nbytes != like[0] or outcome.type != like[1] or life != like[2]:
                    like = (outcome.nbytes, outcome.type, life)
                known[key] = like
                if s.scattered:
                    s.also.pop(key, None)
                    s.scattered.pop(key, None)
            ok.append(outcome)
        if s.limits:
            for outcome in ok:
                s.limits.pop(outcome.run, None)
        if ok and s.connected:
            s.effects.send.append(
                m.Finished(
                    [outcome.key for outcome in ok],
                    [outcome.run for outcome in ok],
                    [outcome.nbytes for outcome in ok],
                    [outcome.type for outcome in ok],
                    [outcome.start for outcome in ok],
                    [outcome.stop for outcome in ok],
                    [outcome.value for outcome in ok],
                )
            )

    def _not_ok(self, task: TaskRun, outcome: events.Outcome, ok: list[events.Outcome]) -> None:
        s = self.state
        if outcome.kind == "missing" and s.connected:
            done = {outcome.key for outcome in ok}
            self._not_in_store([key for key in outcome.missing if key not in done])
            held_back(s, task)
            return
        end_run(s, task)
        if not s.connected:
            return  # a scheduler that is told of neither a result nor a run assigns it again
        if outcome.kind == "unread":
            s.effects.send.append(_cannot_read(task, outcome))
            return
        if outcome.kind == "error":
            failure = outcome.failure
            s.effects.send.append(
                m.Failed(
                    task.key,
                    task.run,
                    failure.exception,
                    failure.traceback,
                    failure.exception_text,
                    failure.traceback_text,
                    outcome.start,
                    outcome.stop,
                    failure.kinds if _has_policy(task) else [],
                    failure.agreed if _has_policy(task) else True,
                )
            )
        else:
            s.effects.send.append(m.Rescheduled(task.key, task.run))

    def _not_in_store(self, keys: list[str]) -> None:
        """A run missed inputs. Believing to have them would start it again at once, and again."""
        s = self.state
        s.effects.drop += [key for key in keys if key in s.data]  # it may have come since
        data.lost(s, keys, "it is not in the store")

    def _revoked(self, event: events.Revoked) -> None:
        s = self.state
        stolen: list[TaskRun] = []
        for task in event.revoked:
            if task.state == "recalled":
                held_back(s, task)
                continue
            if task.state == "returning":
                stolen.append(task)
            if task.state != "ended":
                end_run(s, task)
        kept: list[str] = []
        for task in event.kept:
            if task.state == "returning":
                task.state = "ready"
                kept.append(task.key)
            elif task.state == "recalled":
                task.state = "ready"
                begun(s, task)
        if s.connected and (stolen or kept):
            s.effects.send.append(
                m.StealReply([task.key for task in stolen], [task.run for task in stolen], kept)
            )

    def _seceded(self, event: events.Seceded) -> None:
        s = self.state
        task = s.tasks.get(event.key)
        if (
            task is not None
            and task.run == event.run
            and task.state in ("ready", "returning", "recalled")
        ):
            task.state = "long-running"
            if s.connected:
                s.effects.send.append(m.LongRunning(event.key, event.run, event.elapsed))

    def _started(self, event: events.Started) -> None:
        limits.note_started(self.state, event)

    def _interrupted(self, event: events.Interrupted) -> None:
        limits.note_interrupted(self.state, event)

    # ------------------------------------------------------------------ data

    def _fetched(self, event: events.Fetched) -> None:
        data.fetched(self.state, event.peer, event.got, event.absent, event.lives)

    def _fetch_failed(self, event: events.FetchFailed) -> None:
        data.holder_failed(self.state, event.peer, event.keys, event.lives)

    def _data_added(self, event: events.DataAdded) -> None:
        data.added(self.state, event.keys, event.nbytes, event.types, event.lives, event.equal)

    def _data_lost(self, event: events.DataLost) -> None:
        data.lost(self.state, event.keys, event.reason)

    def _memory_measured(self, event: events.MemoryMeasured) -> None:
        s = self.state
        measured(s, event)
        if s.effects.pause:
            data.refuse_copies(s)

    def _evicted(self, event: events.Evicted) -> None:
        evicted(self.state, event)
        if event.then is not None:
            self._memory_measured(event.then)

    # ------------------------------------------------------------------ the scheduler's messages

    def _from_scheduler(self, event: events.FromScheduler) -> None:
        s = self.state
        if not s.connected:
            return  # messages of an earlier connection
        handlers = self._messages
        for message in event.messages:
            if type(message) is m.Compute:
                add_run(s, message)
            else:
                handlers[type(message)](message)

    def _on_compute_many(self, message: m.ComputeMany) -> None:
        add_runs(self.state, message)

    def _on_free(self, message: m.Free) -> None:
        data.drop(self.state, message.keys, message.lives)

    def _on_interrupt(self, message: m.Interrupt) -> None:
        limits.interrupt(self.state, message)

    def _on_steal(self, message: m.Steal) -> None:
        s = self.state
        keys: list[str] = []
        runs: list[int] = []
        kept: list[str] = []
        for key in message.keys:
            task = s.tasks.get(key)
            if task is None or task.state == "long-running":
                kept.append(key)
            elif task.state == "ready":
                task.state = "returning"
                s.effects.revoke.append(task)
            elif task.state == "recalled":
                task.state = "returning"  # the executor is asked already
            elif task.state in ("waiting", "constrained", "held"):
                keys.append(key)
                runs.append(task.run)
                end_run(s, task)
        if keys or kept:
            s.effects.send.append(m.StealReply(keys, runs, kept))

    def _on_acquire(self, message: m.Acquire) -> None:
        data.acquire(self.state, message)

    def _on_define(self, message: m.DefineFunctions) -> None:
        s = self.state
        for function, blob in zip(message.ids, message.blobs, strict=True):
            s.functions.add(function)
            s.effects.define[function] = blob
            if function in s.effects.forget:
                s.effects.forget.remove(function)

    def _on_forget(self, message: m.ForgetFunctions) -> None:
        self.state.functions.difference_update(message.ids)
        self.state.effects.forget += message.ids

    def _on_welcome(self, message: m.WorkerWelcome) -> None:
        s = self.state
        for key in message.stop:
            task = s.tasks.get(key)
            if task is not None:
                free_run(s, task)
        data.drop(s, message.forget, message.forget_lives, runs=False)

    def _on_rejected(self, message: m.WorkerRejected) -> None:
        self.state.closing = True
        self.state.effects.close = (message.reason, False)

    def _on_call_back(self, message: m.CallBack) -> None:
        self.state.effects.call_back.append(message.token)

    def _on_close(self, message: m.CloseWorker) -> None:
        s = self.state
        if not s.closing:
            s.effects.send.append(m.WorkerGoodbye(message.reason))
        s.closing = True
        s.effects.close = (message.reason, message.restart)


def _has_policy(task: TaskRun) -> bool:
    options = task.compute.options
    return options is not None and options.retry is not None


def _cannot_read(task: TaskRun, outcome: events.Outcome) -> m.MissingDeps:
    """Return what the scheduler is told of a run that could not read its sources."""
    compute = task.compute
    lives = dict(zip(compute.deps, compute.dep_lives, strict=True)) if compute.dep_lives else {}
    return m.MissingDeps(
        task.key,
        task.run,
        [key for key, _, _ in outcome.unread],
        [absent for _, absent, _ in outcome.unread],
        [unreachable for _, _, unreachable in outcome.unread],
        fetch.named([lives.get(key, compute.life) for key, _, _ in outcome.unread]),
    )
