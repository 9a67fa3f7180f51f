"""Handlers of a client's messages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import repeat
from typing import TYPE_CHECKING, Any

from shoal.scheduler.core.coordination import handling as coordination
from shoal.scheduler.core.handlers.graph import data_task, on_graph, want_key
from shoal.scheduler.core.handlers.lives import (
    begin_life_of_data,
    is_life_of,
    merge_copy,
    set_aside_for_data,
)
from shoal.scheduler.core.handlers.worker import arrive_in_memory
from shoal.scheduler.core.journal.recipes import note_life, record_task
from shoal.scheduler.core.journal.recorder import FIRED
from shoal.scheduler.core.outgoing import (
    heard,
    say_finished_to,
    tell_client,
    tell_free,
    tell_worker,
)
from shoal.scheduler.core.slices import in_steps, start, step_of
from shoal.scheduler.core.state import ClientState, FunctionState
from shoal.scheduler.core.transitions.bulk import forget_many, is_plain
from shoal.scheduler.core.transitions.demand import (
    add_want,
    drop_unneeded,
    drop_want,
    leave_worker,
    let_go_of_inputs,
    release_function,
)
from shoal.scheduler.core.transitions.failing import say_erred
from shoal.scheduler.core.transitions.processing import activate
from shoal.scheduler.core.transitions.table import ACTIVE, move
from shoal.wire import messages as m

if TYPE_CHECKING:
    from shoal.scheduler.core.state import SchedulerState, TaskState

__all__ = ["CLIENT_HANDLERS", "cancel_tasks", "client_lost", "on_hello"]


def on_hello(s: SchedulerState, client_id: str, hello: m.ClientHello) -> ClientState:
    """A client registers."""
    client = s.clients[client_id] = ClientState(client_id, s.now, hello.name)
    client.versions = hello.versions
    if hello.reconnect:
        open_recovery_window(s, hello.known_workers)
    tell_client(s, client, m.ClientWelcome(s.id, list(s.workers)))
    s.log_event("all", {"action": "add-client", "client": client_id})
    return client


def open_recovery_window(s: SchedulerState, expected: list[str]) -> None:
    """A client comes back to a scheduler that may have lost all: wait a while for the workers."""
    s.recovery.client_came_back = True
    until = s.started + s.settings.recovery_window
    if s.recovery.until is None and s.now < until:
        s.recovery.until = until
    if s.recovery.until is not None:
        s.recovery.expected_workers.update(
            address for address in expected if address not in s.workers
        )


def client_lost(s: SchedulerState, client: ClientState, graceful: bool) -> None:
    """A client is gone. If it may come back it keeps its results for the grace period."""
    del s.clients[client.id]
    client.real = False  # it cannot be told anything: by and by it wants nothing
    s.outbox.clients.pop(client, None)
    start(s, _let_go(s, client, None if graceful else s.now + s.settings.client_grace))
    for function in client.defined.values():
        release_function(s, function)
    client.defined = {}
    coordination.holder_lost(s, client.id, graceful)
    s.log_event("all", {"action": "remove-client", "client": client.id})


def _let_go(s: SchedulerState, client: ClientState, keep_until: float | None) -> Iterator[int]:
    for part in in_steps(s, list(client.wants.values())):
        for ts in part:
            if ts.serial not in client.wants:
                continue
            if keep_until is not None:
                add_want(s.adopted, ts)
                s.adopted_until[ts.key] = keep_until
            drop_want(s, client, ts)
        yield len(part)


def _on_define(s: SchedulerState, client: ClientState, msg: m.DefineFunctions) -> None:
    for id, blob in zip(msg.ids, msg.blobs, strict=True):
        if id in client.defined:
            continue
        function = s.functions.get(id)
        if function is None:
            function = s.functions[id] = FunctionState(id, blob)
        function.references += 1
        client.defined[id] = function


def _on_forget(s: SchedulerState, client: ClientState, msg: m.ForgetFunctions) -> None:
    for id in msg.ids:
        function = client.defined.pop(id, None)
        if function is not None:
            release_function(s, function)


def _on_want(s: SchedulerState, client: ClientState, msg: m.Want) -> None:
    s.budget -= len(msg.keys)
    heard(client, msg.told)
    for key in msg.keys:
        known = key in s.tasks
        ts = data_task(s, key)
        want_key(s, client, ts)
        if ts.state == "released":
            if known or s.recovery.until is not None:
                activate(s, ts)
            else:
                # Another client may be about to define it, on a connection of its own.
                s.recovery.awaited[ts] = s.now + s.settings.define_grace


def _on_release(s: SchedulerState, client: ClientState, msg: m.Release) -> None:
    start(s, _release(s, client, msg.keys))
    # At once: a graph in the same batch may mean another task by the same key.
    drop_unneeded(s)


def _release(s: SchedulerState, client: ClientState, all_keys: list[str]) -> Iterator[int]:
    for keys in in_steps(s, all_keys):
        _release_keys(s, client, keys)
        yield len(keys)


def _release_keys(s: SchedulerState, client: ClientState, keys: list[str]) -> None:
    tasks = s.tasks
    near = tasks.part_of(keys[0]).get
    wants = client.wants
    alone = client.alone
    plain: list[TaskState] = []
    for key in keys:
        ts = near(key) or tasks.get(key)
        if ts is None:
            continue
        if ts.wanted_by is not alone:
            drop_want(s, client, ts)
            continue
        ts.wanted_by = ()
        del wants[ts.serial]
        if ts.waiters:
            continue
        if ts.state == "memory" and is_plain(ts):
            plain.append(ts)
        else:
            s.unneeded.append(ts)
    if plain:
        forget_many(s, plain)


def _on_fire_and_forget(s: SchedulerState, client: ClientState, msg: m.FireAndForget) -> None:
    for key in msg.keys:
        ts = s.tasks.get(key)
        if ts is not None and ts.state not in ("memory", "erred"):
            add_want(s.fire_and_forget, ts)
            if s.recorder is not None:
                s.recorder.put(FIRED, ts.serial)
                record_task(s.recorder, ts)
            if ts.state == "released":
                activate(s, ts)


def _on_cancel(s: SchedulerState, client: ClientState, msg: m.Cancel) -> None:
    start(s, cancel_tasks(s, client, msg.keys, msg.force, msg.reason))


def cancel_tasks(
    s: SchedulerState,
    client: ClientState | None,
    keys: list[str],
    force: bool,
    reason: str,
    *,
    processes_end: bool = False,
) -> Iterator[int]:
    """Take tasks, and all that depend on them, away from the clients that want them.

    Without `force` a task that another client wants as well only loses this client, and what runs
    runs to its end. Nor is it stopped where its process ends anyway.
    """
    stack = [s.tasks[key] for key in keys if key in s.tasks]
    cancelled: dict[ClientState, list[str]] = {}
    seen: dict[TaskState, None] = {}
    limit = step_of(s)
    touched = 0
    while stack:
        touched += 1
        if touched == limit:
            yield touched
            touched = 0
        ts = stack.pop()
        if ts in seen or ts.state == "forgotten":
            continue
        seen[ts] = None
        others = [c for c in ts.wanted_by if c is not client and c is not s.adopted]
        if others and not force:
            if client is not None and client in ts.wanted_by:
                cancelled.setdefault(client, []).append(ts.key)
                drop_want(s, client, ts)
            continue
        for who in ts.wanted_by:
            cancelled.setdefault(who, []).append(ts.key)
            drop_want(s, who, ts)
        if ts.dependents is not None:
            stack.extend(ts.dependents)
        if ts.state in ACTIVE:
            _stop(s, ts, reason if force and not processes_end else "")
    for part in in_steps(s, seen):
        for ts in part:
            if ts.state == "released" and ts.needed:
                activate(s, ts)  # a dependent that another client wants still needs it
        yield len(part)
    for who, their_keys in cancelled.items():
        if who is client:  # it may not know that keys of others depend on what it cancelled
            named = set(keys)
            their_keys = [key for key in their_keys if key not in named]
        if their_keys and s.clients.get(who.id) is who:
            tell_client(s, who, m.KeysCancelled(their_keys, reason, who.heard))


def _stop(s: SchedulerState, ts: TaskState, interrupt: str) -> None:
    """Compute a task no more; `interrupt` says why its code is to be stopped, if it is."""
    run = ts.run
    ws = leave_worker(s, ts)
    if ws is not None:
        tell_free(s, ws, ts.key, ts.life)
        if interrupt:
            tell_worker(s, ws, m.Interrupt([ts.key], [run], interrupt))
    move(s, ts, "released")
    ts.waiting_on = 0
    let_go_of_inputs(s, ts)
    if not ts.waiters and not ts.wanted_by:
        s.unneeded.append(ts)


def _on_retry(s: SchedulerState, client: ClientState, msg: m.Retry) -> None:
    stack = [s.tasks[key] for key in msg.keys if key in s.tasks]
    revived: list[TaskState] = []
    while stack:
        ts = stack.pop()
        if ts.state != "erred":
            continue
        move(s, ts, "released")
        ts.rare = None
        revived.append(ts)
        stack.extend(dep for dep in ts.deps if dep.state == "erred")
        if ts.dependents is not None:
            stack.extend(d for d in ts.dependents if d.state == "erred")
    for ts in revived:
        for who in ts.wanted_by:
            tell_client(s, who, m.KeysPending([ts.key], who.heard))
    for ts in revived:
        if ts.needed:
            activate(s, ts)


def _on_scattered(s: SchedulerState, client: ClientState, msg: m.Scattered) -> None:
    heard(client, msg.told)
    n = len(msg.keys)
    lives, equals = msg.lives or repeat(0, n), msg.equal or repeat(True, n)
    rows = zip(msg.keys, msg.nbytes, msg.types, msg.holders, lives, equals, strict=True)
    for key, nbytes, type_name, holders, life, equal in rows:
        ts = data_task(s, key)
        if ts.dependents and not equal and set_aside_for_data(s, ts, life):
            ts = data_task(s, key)
        add_want(client, ts)
        puts = s.recovery.puts.setdefault(ts, {})
        puts[life] = True
        # It was kept for its clients to come.
        if all(puts.values()) and s.adopted_until.pop(key, None) is not None:
            drop_want(s, s.adopted, ts)
        present = [s.workers[address] for address in holders if address in s.workers]
        if not is_life_of(ts, life) and not begin_life_of_data(s, ts, life, equal):
            tell_client(s, client, m.KeysShared([key], [ts.life], client.heard))
            for ws in present:
                merge_copy(s, ts, ws, life)
            say_finished_to(s, client, ts, None)
            continue
        ts.life = life or ts.life
        if s.recorder is not None:
            note_life(s.recorder, ts)
        s.recovery.unclaimed.pop(ts, None)
        known = ts.state == "memory"
        for ws in present:
            arrive_in_memory(s, ts, ws, nbytes, type_name)
        if known:
            say_finished_to(s, client, ts, None)
        elif ts.state == "released":
            activate(s, ts)  # no holder is there: it may come, or the data is lost
        elif ts.state == "erred":
            say_erred(s, client, ts)


def _on_heartbeat(s: SchedulerState, client: ClientState, msg: m.ClientHeartbeat) -> None:
    client.last_seen = s.now


def _on_goodbye(s: SchedulerState, client: ClientState, msg: m.ClientGoodbye) -> None:
    client_lost(s, client, graceful=True)
    s.outbox.left_clients.append(client.id)


CLIENT_HANDLERS: dict[type, Callable[[SchedulerState, ClientState, Any], None]] = {
    m.DefineFunctions: _on_define,
    m.ForgetFunctions: _on_forget,
    m.Graph: on_graph,
    m.Want: _on_want,
    m.Release: _on_release,
    m.FireAndForget: _on_fire_and_forget,
    m.Cancel: _on_cancel,
    m.Retry: _on_retry,
    m.Scattered: _on_scattered,
    m.Ask: coordination.on_ask,
    m.Unask: coordination.on_unask,
    m.Took: coordination.on_took,
    m.Resume: coordination.on_resume,
    m.Publish: coordination.on_publish,
    m.ClientHeartbeat: _on_heartbeat,
    m.ClientGoodbye: _on_goodbye,
}
