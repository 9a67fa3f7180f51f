"""Messages of the core to its peers: gathered per peer, to leave when the event ends.

Everything said to one peer keeps its order. Finished keys (to clients) and freed keys (to workers)
are gathered in columns and become one message as soon as anything else is said, or at the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shoal.wire.messages import Free, KeysInMemory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shoal.scheduler.core.state import ClientState, SchedulerState, TaskState, WorkerState
    from shoal.wire.messages import Inline

__all__ = [
    "collect",
    "flush_frees",
    "heard",
    "say_finished",
    "say_many_finished",
    "tell_client",
    "tell_free",
    "tell_worker",
]

_MOST_HELD = 200  # keys that a busy worker is told to drop later


def tell_worker(s: SchedulerState, ws: WorkerState, message: Any) -> None:
    """Send a message to a worker."""
    s.touched_workers[ws] = None
    if ws.frees:
        flush_frees(ws)
    ws.out.append(message)


def flush_frees(ws: WorkerState) -> None:
    """Send a worker what it is to drop, before what it is told next."""
    lives = ws.free_lives
    if lives.count(lives[0]) == len(lives):
        lives = lives[:1]
    ws.out.append(Free(ws.frees, lives))
    ws.frees = []
    ws.free_lives = []


def tell_free(s: SchedulerState, ws: WorkerState, key: str, life: int) -> None:
    """Tell a worker to drop a life of a key, with the others that it is told to drop."""
    s.touched_workers[ws] = None
    ws.frees.append(key)
    ws.free_lives.append(life)
    ws.urgent = True


def tell_client(s: SchedulerState, client: ClientState, message: Any) -> None:
    """Send a message to a client; pseudo clients hear nothing."""
    if client.real:
        s.outbox.clients[client] = None
        if client.done_keys:
            _flush_finished(client)
        client.out.append(message)


def heard(client: ClientState, told: int) -> None:
    """A client told something of keys: what is said from now on is said of these lives."""
    if told > client.heard:
        if client.done_keys:
            _flush_finished(client)
        client.heard = told


def say_finished(s: SchedulerState, ts: TaskState, value: Inline | None) -> None:
    """Tell all clients that want a task that its result is there."""
    for client in ts.wanted_by:
        if client.real:
            say_finished_to(s, client, ts, value)


def say_finished_to(
    s: SchedulerState, client: ClientState, ts: TaskState, value: Inline | None
) -> None:
    """Tell one client that a result is there."""
    s.outbox.clients[client] = None
    client.done_keys.append(ts.key)
    client.done_types.append(ts.type)
    client.done_values.append(value)
    if value is None:
        client.done_holders.append(ts.who_has[0].address)


def say_many_finished(
    s: SchedulerState,
    client: ClientState,
    keys: list[str],
    types: list[str],
    values: Sequence[Inline | None],
    holder: str,
) -> None:
    """Tell one client that results are there, all on one worker."""
    s.outbox.clients[client] = None
    client.done_keys += keys
    client.done_types += types
    client.done_values += values
    client.done_holders += [holder] * values.count(None)


def _flush_finished(client: ClientState) -> None:
    client.out.append(
        KeysInMemory(
            client.done_keys,
            client.done_types,
            client.done_values,
            client.done_holders,
            client.heard,
        )
    )
    client.done_keys = []
    client.done_types = []
    client.done_values = []
    client.done_holders = []


def collect(s: SchedulerState) -> tuple[dict[str, list[Any]], dict[str, list[Any]]]:
    """Take all that was said: per worker address, and per client id."""
    to_workers: dict[str, list[Any]] = {}
    to_clients: dict[str, list[Any]] = {}
    for ws in s.touched_workers:
        if ws.status == "closed":  # another worker may have its address by now
            ws.out = []
            ws.frees = []
            ws.free_lives = []
            continue
        if ws.frees:
            if not ws.out and _can_wait(s, ws):
                continue
            flush_frees(ws)
        if ws.out:
            to_workers[ws.address] = ws.out
            ws.out = []
            ws.urgent = False
            s.outbox.holding.pop(ws, None)
    for client in s.outbox.clients:
        if client.done_keys:
            _flush_finished(client)
        if client.out:
            to_clients[client.id] = client.out
            client.out = []
    s.touched_workers.clear()
    s.outbox.clients.clear()
    return to_workers, to_clients


def _can_wait(s: SchedulerState, ws: WorkerState) -> bool:
    """Whether a worker, busy as it is, may hear later what small results it is to drop.

    Mostly it is told something else soon. A message of its own costs as much as a short task.
    """
    if ws.urgent or not ws.processing or len(ws.frees) > _MOST_HELD:
        return False
    if ws not in s.outbox.holding:
        s.outbox.holding[ws] = None
        ws.held_since = s.now
        return True
    return s.now < ws.held_since + s.settings.free_delay
