"""Methods of a scheduler that are about clients and their results, by the documented names: for
plugins, preloads and functions that run in its process. The work is done in `operations`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from shoal._base.keys import decode_key
from shoal.scheduler.core.events import ClientLost, DropCopies, FromClient, Move, SetMetadata
from shoal.scheduler.operations import copies, notes
from shoal.scheduler.operations import data as data_operations
from shoal.scheduler.views.attributes import SchedulerAttributes
from shoal.scheduler.views.named import (
    Names,
    addresses,
    wire_keys,
    wire_keys_or_all,
)
from shoal.wire import messages as m

__all__ = ["DataMethods"]


class DataMethods(SchedulerAttributes):
    """A scheduler's methods that handle results. Methods that ask workers are coroutines."""

    # -- clients ---------------------------------------------------------------------------

    def remove_client(self, client: str, stimulus_id: str | None = None) -> None:
        """Take a client as gone; what only it wanted is dropped."""
        if client in self.state.clients:
            self.topics.forget(client)
            self.feed(ClientLost(client, "it was removed from the scheduler"))
            self.background(self.client_streams.dismiss(client))

    def client_desires_keys(self, keys: Iterable[Any], client: str) -> None:
        """Keep results, as a client with futures of them would."""
        self._as_client(client, m.Want(wire_keys(keys)))

    def client_releases_keys(
        self, keys: Iterable[Any], client: str, stimulus_id: str | None = None
    ) -> None:
        """Let go of results that a client had futures of."""
        self._as_client(client, m.Release(wire_keys(keys)))

    def stimulus_cancel(
        self,
        keys: Iterable[Any],
        client: str,
        force: bool = False,
        reason: str | None = None,
        msg: str | None = None,
    ) -> None:
        """Cancel tasks, as `Client.cancel` does."""
        why = msg or reason or "cancelled by the user"
        self._as_client(client, m.Cancel(wire_keys(keys), force, why))

    def stimulus_retry(self, keys: Iterable[Any], client: str | None = None) -> tuple[Any, ...]:
        """Run failed tasks again, as `Client.retry` does; return their keys."""
        chosen = [key for key in keys if (ts := self.tasks.get(key)) and ts.state == "erred"]
        self._as_client(client or next(iter(self.state.clients), ""), m.Retry(wire_keys(chosen)))
        return tuple(chosen)

    def update_data(
        self,
        *,
        who_has: Mapping[Any, list[str]],
        nbytes: Mapping[Any, int],
        client: str | None = None,
    ) -> None:
        """Learn that workers hold data, which a client wants."""
        keys = list(who_has)
        if client is None:
            raise ValueError("client= must say who wants the data: nobody else would keep it")
        self._as_client(
            client,
            m.Scattered(
                wire_keys(keys),
                [nbytes[key] for key in keys],
                [""] * len(keys),
                [[self.coerce_address(each) for each in who_has[key]] for key in keys],
            ),
        )

    def _as_client(self, client: str, message: Any) -> None:
        if client not in self.state.clients:
            known = ", ".join(self.state.clients) or "none"
            raise ValueError(f"there is no client {client!r}; there are: {known}")
        self.feed(FromClient(client, [message]))

    # -- data ------------------------------------------------------------------------------

    async def gather(self, keys: Iterable[Any], serializers: Any = None) -> dict[str, Any]:
        """Fetch results from workers: ``{"status": "OK", "data": {key: pickled value}}``, or
        ``{"status": "error", "keys": those that could not be had}``.
        """
        answer = await data_operations.gather(self, wire_keys(keys))
        if answer["missing"]:
            return {"status": "error", "keys": [decode_key(key) for key in answer["missing"]]}
        return {
            "status": "OK",
            "data": {decode_key(key): value for key, value in answer["data"].items()},
        }

    async def scatter(
        self,
        data: Mapping[Any, Any],
        workers: Names,
        client: str,
        broadcast: bool | int = False,
        timeout: float = 2,
    ) -> list[Any]:
        """Put values on workers, for a client that wants them; return their keys."""
        return await data_operations.scatter_values(
            self, data, addresses(workers), client, broadcast, timeout
        )

    async def replicate(
        self,
        keys: Iterable[Any],
        n: int | None = None,
        workers: Names = None,
        branching_factor: int = 2,
        delete: bool = True,
        stimulus_id: str = "",
    ) -> None:
        """Have `n` copies of each result; see `Client.replicate`."""
        chosen = addresses(workers)
        await copies.replicate(self, wire_keys(keys), n, chosen, branching_factor)

    async def rebalance(
        self,
        keys: Iterable[Any] | None = None,
        workers: Names = None,
        stimulus_id: str = "",
    ) -> dict[str, Any]:
        """Move results so that workers use about the same memory; see `Client.rebalance`."""
        answer = await copies.rebalance(self, wire_keys_or_all(keys), addresses(workers))
        if answer["status"] == "OK":
            return {"status": "OK"}
        failed = [decode_key(key) for key in answer["failed"]]
        return {"status": "partial-fail", "keys": failed}

    def request_acquire_replicas(
        self, addr: str, keys: Iterable[Any], *, stimulus_id: str = ""
    ) -> None:
        """Have a worker fetch copies of results."""
        self.feed(Move(wire_keys(keys), addr))

    def request_remove_replicas(
        self, addr: str, keys: Iterable[Any], *, stimulus_id: str = ""
    ) -> None:
        """Have a worker drop copies of results; the last one stays."""
        self.feed(DropCopies([(key, addr) for key in wire_keys(keys)]))

    # -- notes -----------------------------------------------------------------------------

    def get_metadata(self, keys: list[Any], default: Any = KeyError) -> Any:
        """Return what was noted under nested keys; `default` where nothing was.

        Raises
        ------
        KeyError
            Without a default.
        """
        found = notes.get_metadata(self, keys)
        if found["found"]:
            return found["value"]
        if default is KeyError:
            raise KeyError(*keys)
        return default

    def set_metadata(self, keys: list[Any], value: Any = None) -> None:
        """Note a value under nested keys."""
        self.feed(SetMetadata(keys, value))
