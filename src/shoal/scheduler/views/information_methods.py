"""Methods of a scheduler that tell what there is and what happened, by the documented names: for
plugins, preloads and functions that run in its process. The work is done in `operations`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from shoal._base.keys import decode_key, encode_key
from shoal.diagnostics.profile import merge, new_tree
from shoal.scheduler.core.explain import story
from shoal.scheduler.observe.task_stream import StreamRecord
from shoal.scheduler.operations import activity, dump, information, membership
from shoal.scheduler.views.attributes import SchedulerAttributes
from shoal.scheduler.views.named import (
    Names,
    addresses,
    wire_keys,
    wire_keys_or_all,
)

__all__ = ["InformationMethods"]


class InformationMethods(SchedulerAttributes):
    """A scheduler's methods that give information. Methods that ask workers are coroutines."""

    stream_record: StreamRecord

    # -- tasks and their results -----------------------------------------------------------

    def get_who_has(self, keys: Iterable[Any] | None = None) -> dict[Any, list[str]]:
        """Return the addresses of the workers that hold each key; of all keys by default."""
        return _by_key(information.who_has(self, wire_keys_or_all(keys)))

    def get_has_what(self, workers: Names = None) -> dict[str, list[Any]]:
        """Return the keys that each worker holds, by its address."""
        return _of_keys(information.has_what(self, addresses(workers)))

    def get_processing(self, workers: Names = None) -> dict[str, list[Any]]:
        """Return the keys that each worker runs, or is to run next, by its address."""
        return _of_keys(information.processing(self, addresses(workers)))

    def get_nbytes(self, keys: Iterable[Any] | None = None, summary: bool = True) -> dict[Any, int]:
        """Return the sizes of results in bytes, by key.

        Parameters
        ----------
        keys : iterable, optional
            Of which; all that are there by default.
        summary : bool
            By what the keys begin with.
        """
        found = information.nbytes(self, wire_keys_or_all(keys))
        if not summary:
            return _by_key(found)
        sums: dict[str, int] = {}
        tasks = self.state.tasks
        for key, size in found.items():
            name = tasks[key].group.prefix.name
            sums[name] = sums.get(name, 0) + size
        return sums

    def get_task_status(self, keys: Iterable[Any]) -> dict[Any, str | None]:
        """Return the state of each task; None for those that are not known."""
        return _by_key(information.task_status(self, wire_keys(keys)))

    def get_task_prefix_states(self) -> dict[str, dict[str, int]]:
        """Return how many tasks of each kind of work are in each state, where there are some."""
        shown = ("memory", "erred", "released", "processing", "waiting", "queued", "no-worker")
        return {
            name: {state: prefix.states[state] for state in shown}
            for name, prefix in self.task_prefixes.items()
            if len(prefix)
        }

    def story(self, *keys_or_tasks_or_stimuli: Any) -> list[tuple[Any, ...]]:
        """Return the remembered changes of tasks, or those that events caused, oldest first.

        Parameters
        ----------
        *keys_or_tasks_or_stimuli
            Keys, `TaskState`, or names of events.

        Returns
        -------
        list of tuple
            As in `transition_log`: key, start, finish, {}, event, time.
        """
        names = wire_keys(keys_or_tasks_or_stimuli)
        wall_time = self.views.wall_time
        return [
            (decode_key(key), start, finish, {}, stimulus, wall_time(when))
            for key, start, finish, stimulus, when in story(self.state, names)
        ]

    async def get_story(self, keys_or_stimuli: Iterable[Any]) -> list[tuple[Any, ...]]:
        """Return the same as `story`."""
        return self.story(*keys_or_stimuli)

    def explain(self, key: Any) -> str:
        """Say why a task is where it is; see `Client.explain`."""
        return information.explain_task(self, encode_key(key))

    # -- workers ---------------------------------------------------------------------------

    def get_ncores(self, workers: Names = None) -> dict[str, int]:
        """Return the number of threads of each worker, by its address."""
        return information.nthreads(self, addresses(workers))

    def get_ncores_running(self, workers: Names = None) -> dict[str, int]:
        """Return the same of workers that take tasks."""
        known = self.state.workers
        found = information.nthreads(self, addresses(workers))
        return {address: n for address, n in found.items() if known[address].running}

    def describe_workers(self) -> dict[str, dict[str, Any]]:
        """Return what is known of each worker, by its address."""
        return {ws.address: ws.identity() for ws in self.workers.values()}

    async def get_call_stack(
        self, keys: Iterable[Any] | None = None
    ) -> dict[str, dict[Any, list[str]]]:
        """Return what tasks execute, by worker and key; of all tasks by default."""
        found = await activity.call_stack(self, wire_keys_or_all(keys))
        return {address: _by_key(stacks) for address, stacks in found.items()}

    async def get_profile(
        self,
        workers: Names = None,
        scheduler: bool = False,
        server: bool = False,
        merge_workers: bool = True,
        start: float | None = None,
        stop: float | None = None,
        key: str | None = None,
    ) -> dict[str, Any]:
        """Return where tasks spent their time; see `Client.profile`."""
        chosen = addresses(workers)
        trees = await activity.profile(self, key, start, stop, chosen, server, own=scheduler)
        if not merge_workers:
            return trees
        return merge(trees.values()) if trees else new_tree()

    async def get_task_stream(
        self,
        start: float | None = None,
        stop: float | None = None,
        count: int | None = None,
    ) -> list[dict[str, Any]]:
        """Return when and where tasks ran; the first call begins to record."""
        return await activity.task_stream(self, start, stop, count)

    async def get_worker_logs(
        self, n: int | None = None, workers: Names = None, nanny: bool = False
    ) -> dict[str, Any]:
        """Return the last log records of workers, or of their nannies, by address."""
        msg = {"op": "logs", "n": n}
        return await membership.broadcast(self, msg, addresses(workers), nanny=nanny)

    async def get_worker_monitor_info(
        self, recent: bool = False, starts: dict[str, int] | None = None
    ) -> dict[str, Any]:
        """Return what the monitors of workers measured, by address; see `Worker.monitor`.

        Parameters
        ----------
        recent : bool
            Only the last measurements.
        starts : dict, optional
            From which measurement on, by address.
        """
        starts = starts or {}
        found: dict[str, Any] = {}
        for address in list(self.state.workers):
            msg = {"op": "get_monitor_info", "recent": recent, "start": starts.get(address, 0)}
            answer = await membership.broadcast(self, msg, [address], on_error="ignore")
            found.update(answer)
        return found

    # -- events and logs -------------------------------------------------------------------

    def log_event(self, topic: str | Iterable[str], msg: Any) -> None:
        """Remember an event under a topic or several, and tell those who subscribed to it.

        Parameters
        ----------
        topic : str or list of str
            Under which name, or names.
        msg : object
            Texts, numbers, lists, dicts.
        """
        topics = [topic] if isinstance(topic, str) else list(topic)
        information.log_event(self, topics, msg)

    def log_worker_event(self, worker: str, topic: str | Iterable[str], msg: Any) -> None:
        """Remember an event of a worker: `msg` gets its address, where it is a dict."""
        if isinstance(msg, dict):
            msg = {**msg, "worker": worker}
        self.log_event(topic, msg)

    def get_events(
        self, topic: str | None = None
    ) -> tuple[tuple[float, Any], ...] | dict[str, tuple[tuple[float, Any], ...]]:
        """Return the remembered events, (time, message), of a topic, or by topic."""
        found = information.events(self, topic)
        if topic is not None:
            return tuple(found)
        return {name: tuple(events) for name, events in found.items()}

    def subscribe_topic(self, topic: str, client: str) -> None:
        """Tell a client of all events of a topic from now on."""
        self.topics.subscribe(topic, client)

    def unsubscribe_topic(self, topic: str, client: str) -> None:
        """Tell it no more."""
        self.topics.unsubscribe(topic, client)

    # -- everything ------------------------------------------------------------------------

    async def get_cluster_state(self, exclude: Iterable[str] = ()) -> dict[str, Any]:
        """Return all that the scheduler and the workers know, as plain data."""
        return await dump.dump_state(self, exclude)

    async def dump_cluster_state_to_url(
        self,
        url: str,
        exclude: Iterable[str] = (),
        format: str = "msgpack",
        **storage_options: Any,
    ) -> None:
        """Write the same to a file, or with fsspec to any place it knows."""
        await dump.dump_state_to_url(self, url, exclude, format, **storage_options)


def _by_key(found: dict[str, Any]) -> dict[Any, Any]:
    return {decode_key(key): value for key, value in found.items()}


def _of_keys(found: dict[str, list[str]]) -> dict[str, list[Any]]:
    return {address: [decode_key(key) for key in keys] for address, keys in found.items()}
