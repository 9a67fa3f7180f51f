"""Dumps of a cluster's state: written to a file, and read back."""

from __future__ import annotations

import gzip
import importlib
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import msgspec

from shoal._base.keys import encode_key
from shoal._base.versions import own_versions
from shoal.diagnostics.dump_file import dump_ending, encode_dump

if TYPE_CHECKING:
    from shoal.client.session.context import ClientContext

__all__ = ["DumpArtefact", "dump_cluster_state"]


async def dump_cluster_state(
    client: ClientContext,
    filename: str,
    exclude: Sequence[str] | None,
    format: str,
    write_from_scheduler: bool | None = None,
    storage_options: Mapping[str, Any] = MappingProxyType({}),
) -> str:
    """Write the state of the scheduler and all workers to a file; return its path."""
    ending = dump_ending(format)
    await client
    if write_from_scheduler is None:
        write_from_scheduler = "://" in filename
    if write_from_scheduler:
        await client.scheduler.dump_cluster_state_to_url(
            url=filename, exclude=list(exclude or ()), format=format, **storage_options
        )
        return filename if filename.endswith(ending) else filename + ending
    if storage_options:
        raise TypeError(
            f"storage options ({', '.join(storage_options)}) are for addresses, not for the path "
            f"{filename!r}"
        )
    state = await client.scheduler.dump_state(exclude=list(exclude or ()))
    state["versions"]["client"] = own_versions()
    path: str = await client.loop.run_in_executor(None, _write, state, str(filename), format)
    return path


def _write(state: dict[str, Any], filename: str, format: str) -> str:
    ending = dump_ending(format)
    path = Path(filename if filename.endswith(ending) else filename + ending).absolute()
    data = encode_dump(state, format)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".dump-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    return str(path)


class DumpArtefact(Mapping[str, Any]):
    """A dump that was written with `Client.dump_cluster_state`, to look into.

    Parameters
    ----------
    state : dict
        The content: ``scheduler``, ``workers``, ``versions``.

    Examples
    --------
    >>> dump = DumpArtefact.from_file("dask-cluster-dump.msgpack.gz")  # doctest: +SKIP
    >>> dump.scheduler_tasks_in_state("processing")  # doctest: +SKIP
    >>> dump["workers"]["tcp://127.0.0.1:40123"]["log"]  # doctest: +SKIP
    """

    def __init__(self, state: dict[str, Any]) -> None:
        self.dump = state

    @classmethod
    def from_file(cls, filename: str | os.PathLike[str]) -> DumpArtefact:
        """Read a dump.

        Raises
        ------
        ValueError
            When the name ends in none of ``.msgpack.gz``, ``.msgpack`` and ``.yaml``.
        """
        return cls(_decode(str(filename), Path(filename).read_bytes()))

    @classmethod
    def from_url(cls, url: str, **kwargs: Any) -> DumpArtefact:
        """Read a dump from a path, or from any place that fsspec knows.

        Parameters
        ----------
        **kwargs
            For fsspec.
        """
        if "://" not in url:
            return cls.from_file(url)
        fsspec = importlib.import_module("fsspec")  # not needed otherwise
        with fsspec.open(url, "rb", **kwargs) as file:
            return cls(_decode(url, file.read()))

    def __getitem__(self, name: str) -> Any:
        return self.dump[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.dump)

    def __len__(self) -> int:
        return len(self.dump)

    def __repr__(self) -> str:
        tasks, workers = len(self.dump["scheduler"]["tasks"]), len(self.dump["workers"])
        return f"<DumpArtefact: {tasks} tasks, {workers} workers>"

    def scheduler_tasks_in_state(self, state: str | None = None) -> list[dict[str, Any]]:
        """Return tasks as the scheduler saw them; those in one state, or all."""
        tasks = self.dump["scheduler"]["tasks"].values()
        return [task for task in tasks if state is None or task["state"] == state]

    def worker_tasks_in_state(self, state: str | None = None) -> list[dict[str, Any]]:
        """Return tasks as workers saw them, with their `worker`; those in one state, or all."""
        return [
            {**task, "worker": address}
            for address, worker in self.dump["workers"].items()
            for task in worker.get("tasks", {}).values()
            if state is None or task["state"] == state
        ]

    def scheduler_story(self, *keys_or_stimuli: Any) -> dict[str, list[list[Any]]]:
        """Return the transitions of keys, or those that events caused, by what was asked for."""
        log = self.dump["scheduler"]["transition_log"]
        return {
            text: [entry for entry in log if text in (entry[0], entry[3])]
            for text in map(encode_key, keys_or_stimuli)
        }

    def missing_workers(self) -> list[str]:
        """Return the workers that the scheduler knew and that did not answer."""
        answers = self.dump["workers"]
        known = self.dump["scheduler"]["workers"]
        return [address for address in known if "error" in answers.get(address, {"error": ""})]


def _decode(name: str, data: bytes) -> dict[str, Any]:
    found: dict[str, Any]
    if name.endswith(".yaml"):
        yaml = importlib.import_module("yaml")
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        found = yaml.load(data, Loader=loader)
    elif name.endswith(".msgpack.gz"):
        found = msgspec.msgpack.decode(gzip.decompress(data))
    elif name.endswith(".msgpack"):
        found = msgspec.msgpack.decode(data)
    else:
        raise ValueError(f"{name!r} ends in none of .msgpack.gz, .msgpack and .yaml")
    return found
