"""Methods of `Client` that tell what happens on the cluster: events, profiles, task streams."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from shoal._base.later import later
from shoal.client.admin import notes
from shoal.client.observe.event_handlers import TopicHandlers
from shoal.client.session.context import ClientContext

if TYPE_CHECKING:
    from shoal.client.admin import dump, ipython
    from shoal.client.observe import activity
else:
    dump = later("shoal.client.admin.dump")
    ipython = later("shoal.client.admin.ipython")
    activity = later("shoal.client.observe.activity")

__all__ = ["InsightMethods"]


class InsightMethods(ClientContext):
    """Events and topics, profiles, task streams, dumps."""

    _topics: TopicHandlers

    # ------------------------------------------------------------------ events

    def get_events(self, topic: str | None = None) -> Any:
        """Return the remembered events of a topic, or of all topics: (time, message)."""
        return self.sync(self._ask, "events", topic=topic)

    def log_event(self, topic: str | list[str], msg: Any) -> Any:
        """Have the scheduler remember an event, and tell those who subscribed to its topic.

        Parameters
        ----------
        topic : str or list of str
            Under which name, or names.
        msg : object
            Plain data: texts, numbers, lists, dicts.

        Examples
        --------
        >>> from time import time
        >>> client.log_event("current-time", time())  # doctest: +SKIP
        """
        return self.sync(notes.log_event, self, topic, msg)

    def subscribe_topic(self, topic: str, handler: Callable[[Any], Any]) -> Any:
        """Have a function called with each event of a topic from now on.

        Parameters
        ----------
        topic : str
            The topic; ``"all"`` has what the scheduler itself logs.
        handler : callable or coroutine function
            Called with ``(time, message)``; the time is the scheduler's. It takes the place of an
            older handler of the topic. Coroutine functions run on the client's event loop; plain
            functions in a thread, one after the other (in asynchronous clients, on the loop).

        Examples
        --------
        >>> client.subscribe_topic("news", print)  # doctest: +SKIP
        >>> client.log_event("news", "it works")  # doctest: +SKIP
        (1700000000.0, 'it works')
        """
        return self.sync(self._topics.subscribe, topic, handler)

    def unsubscribe_topic(self, topic: str) -> Any:
        """Have no function called for a topic any more.

        Raises
        ------
        ValueError
            When there was none.
        """
        return self.sync(self._topics.unsubscribe, topic)

    # ------------------------------------------------------------------ activity

    def call_stack(self, futures: Any = None, keys: Any = None) -> Any:
        """Return what tasks execute at this moment.

        Parameters
        ----------
        futures : list of Future, or collections, optional
            Of which tasks.
        keys : list of key, optional
            Of which tasks; all that run by default.

        Returns
        -------
        dict
            Lines as in tracebacks, by worker and key.
        """
        return self.sync(activity.call_stack, self, futures, keys)

    def memory_by_prefix(self) -> Any:
        """Return how much memory tasks took while they ran, their results included.

        It is how far the worker's process grew, as the kernel saw it; where several tasks ran on
        its threads, each is said to have had its share. Tasks of a few milliseconds are not looked
        at, unless memory is short. Workers without a memory limit do not look.

        Returns
        -------
        dict
            By prefix of keys: how many ``"runs"`` were looked at, and the ``"peak"``, in bytes.

        Examples
        --------
        >>> client.memory_by_prefix()  # doctest: +SKIP
        {'random_sample': {'runs': 20, 'peak': 40632320}}
        """
        return self.sync(self._ask, "memory_by_prefix")

    def profile(
        self,
        key: str | None = None,
        start: float | str | None = None,
        stop: float | str | None = None,
        workers: Any = None,
        merge_workers: bool = True,
        plot: bool | str = False,
        filename: str | None = None,
        server: bool = False,
        scheduler: bool = False,
    ) -> Any:
        """Return where tasks spent their time lately, from samples of their stacks.

        Parameters
        ----------
        key : str, optional
            Only of tasks whose keys begin with this name, as ``"inc"``.
        start, stop : float or str, optional
            Between these times: seconds since the epoch, or ``"60s"`` before now.
        workers : list of str, optional
            Of these workers; all by default.
        merge_workers : bool
            Add them up; False: by worker.
        plot : bool or str
            Return a page to look at as well; ``"save"`` writes it to ``dask-profile.html``.
        filename : str, optional
            Write the page to this file.
        server : bool
            Of what workers do besides tasks.
        scheduler : bool
            Of what the scheduler does.

        Returns
        -------
        dict, or (dict, Page)
            The tree: `count`, `description`, `children`.

        Examples
        --------
        >>> client.profile(filename="dask-profile.html")  # doctest: +SKIP
        """
        return self.sync(
            activity.profile,
            self,
            key=key,
            start=start,
            stop=stop,
            workers=workers,
            merge_workers=merge_workers,
            plot=plot,
            filename=filename,
            server=server,
            scheduler=scheduler,
        )

    def get_task_stream(
        self,
        start: float | str | None = None,
        stop: float | str | None = None,
        count: int | None = None,
        plot: bool | str = False,
        filename: str = "task-stream.html",
        bokeh_resources: Any = None,
    ) -> Any:
        """Return when and where tasks ran. The first call begins to record.

        Parameters
        ----------
        start, stop : float or str, optional
            Between these times: seconds since the epoch, or ``"60s"`` before now.
        count : int, optional
            The last so many; not used when `start` and `stop` are given.
        plot : bool or str
            Return a page to look at as well; ``"save"`` writes it to a file.
        filename : str
            That file.
        bokeh_resources : object, optional
            Accepted for compatibility; pages need nothing.

        See Also
        --------
        get_task_stream : a context manager

        Examples
        --------
        >>> client.get_task_stream()  # doctest: +SKIP
        >>> x.compute()  # doctest: +SKIP
        >>> client.get_task_stream()  # doctest: +SKIP
        [{'task': ..., 'type': ..., 'thread': ..., ...}]
        """
        return self.sync(activity.task_stream, self, start, stop, count, plot, filename)

    def dump_cluster_state(
        self,
        filename: str = "dask-cluster-dump",
        write_from_scheduler: bool | None = None,
        exclude: Sequence[str] = (),
        format: Literal["msgpack", "yaml"] = "msgpack",
        **storage_options: Any,
    ) -> Any:
        """Write all that the scheduler and the workers know to a file, to look for a bug in.

        Values and arguments of tasks are not in it. Read it with `DumpArtefact`.

        Parameters
        ----------
        filename : str
            The file, or an address that fsspec knows, such as ``"s3://bucket/dump"``; the ending is
            added.
        write_from_scheduler : bool, optional
            Whether the scheduler writes it, to a place that it knows by that name. By default it
            does so where `filename` is an address.
        exclude : list of str
            Attributes to leave out, such as ``"log"``.
        format : {"msgpack", "yaml"}
            ``.msgpack.gz``, or ``.yaml``, which people can read, and which takes its time.
        **storage_options
            For fsspec.

        Returns
        -------
        str
            The path of the file.
        """
        return self.sync(
            dump.dump_cluster_state,
            self,
            str(filename),
            exclude,
            format,
            write_from_scheduler,
            storage_options,
        )

    # ------------------------------------------------------------------ IPython

    def start_ipython_workers(
        self,
        workers: Any = None,
        magic_names: Any = False,
        qtconsole: bool = False,
        qtconsole_args: Sequence[str] | None = None,
    ) -> Any:
        """Start IPython kernels on workers (extra ``jupyter``), where ``worker`` is the worker.

        Workers in one process share its kernel.

        Parameters
        ----------
        workers : list of str, optional
            Which; all by default.
        magic_names : str or list of str, optional
            Magics of this IPython that run code there: one each, or a text in which ``*`` becomes
            the number of the worker. ``%remote info[address] code`` is there in any case.
        qtconsole : bool
            Open Jupyter's QtConsole for each.
        qtconsole_args : list of str, optional
            Its arguments.

        Returns
        -------
        dict
            The connection files for Jupyter clients, by worker.

        Examples
        --------
        >>> info = client.start_ipython_workers(magic_names="w_*")  # doctest: +SKIP
        >>> %w_0 worker.data  # doctest: +SKIP
        """
        return self.sync(
            ipython.start_on_workers, self, workers, magic_names, qtconsole, qtconsole_args
        )

    def start_ipython_scheduler(
        self,
        magic_name: str | None = "scheduler_if_ipython",
        qtconsole: bool = False,
        qtconsole_args: Sequence[str] | None = None,
    ) -> Any:
        """Start an IPython kernel on the scheduler (extra ``jupyter``), with ``scheduler`` in it.

        Parameters
        ----------
        magic_name : str, optional
            A magic of this IPython that runs code there; ``%scheduler`` by default, in IPython.
        qtconsole : bool
            Open Jupyter's QtConsole.
        qtconsole_args : list of str, optional
            Its arguments.

        Returns
        -------
        dict
            The connection file for Jupyter clients.
        """
        return self.sync(ipython.start_on_scheduler, self, magic_name, qtconsole, qtconsole_args)

    def start_ipython(self, *args: Any, **kwargs: Any) -> Any:
        """Start IPython kernels on workers; the old name of `start_ipython_workers`."""
        warnings.warn(
            "Client.start_ipython is now called start_ipython_workers",
            DeprecationWarning,
            stacklevel=2,
        )
        return self.start_ipython_workers(*args, **kwargs)
