"""Tests that are coroutines: on a loop of their own, and with a cluster in this process."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import dask.config

from shoal._base.loop import new_event_loop
from shoal._base.system import memory_available
from shoal.client.client import Client
from shoal.scheduler.scheduler import Scheduler
from shoal.security import Security
from shoal.testing.certificates import tls_only_security
from shoal.testing.leaks import clean
from shoal.worker.worker import Worker as _Worker

__all__ = ["NO_AMM", "end_cluster", "gen_cluster", "gen_test", "gen_tls_cluster", "start_cluster"]

NO_AMM = {"distributed.scheduler.active-memory-manager.start": False}
"""Configuration for tests in which nobody but them may copy or drop data."""

_Test = Callable[..., Coroutine[Any, Any, Any]]
_WORKERS = (("127.0.0.1", 1), ("127.0.0.1", 2))


def gen_test(
    timeout: float = 30,
    config: dict[str, Any] | None = None,
    clean_kwargs: dict[str, Any] | None = None,
) -> Callable[[_Test], Callable[..., None]]:
    """Make a test of a coroutine function; pytest's fixtures and parameters are its arguments.

    Parameters
    ----------
    timeout : float
        Seconds after which it fails.
    config : dict, optional
        Configuration while it runs.
    clean_kwargs : dict, optional
        Arguments of `clean`.

    Examples
    --------
    >>> @gen_test()
    ... async def test_something():
    ...     async with Client(processes=False, asynchronous=True) as client:
    ...         assert await client.submit(abs, -1) == 1
    """
    _check_called(timeout, "gen_test")

    def decorate(func: _Test) -> Callable[..., None]:
        _check_coroutine(func, "gen_test")

        @functools.wraps(func)
        def test(*args: Any, **kwargs: Any) -> None:
            _run(lambda: func(*args, **kwargs), timeout, config, clean_kwargs)

        return test

    return decorate


def gen_cluster(
    nthreads: Sequence[tuple[Any, ...]] = _WORKERS,
    scheduler: str = "127.0.0.1",
    timeout: float = 30,
    security: Security | dict[str, Any] | None = None,
    Worker: type[Any] = _Worker,
    client: bool = False,
    scheduler_kwargs: dict[str, Any] | None = None,
    worker_kwargs: dict[str, Any] | None = None,
    client_kwargs: dict[str, Any] | None = None,
    active_rpc_timeout: float = 1,
    config: dict[str, Any] | None = None,
    clean_kwargs: dict[str, Any] | None = None,
    allow_unclosed: bool = False,
    cluster_dump_directory: str | None = None,
) -> Callable[[_Test], Callable[..., None]]:
    """Make a test of a coroutine function that gets a cluster, all of it on the test's own loop.

    The scheduler comes first, then each worker; with `client`, a client before them. Arguments
    after those are pytest's fixtures and parameters. The cores check their state after each event.

    Parameters
    ----------
    nthreads : list of (host, threads) or (host, threads, arguments)
        The workers; hosts may come with a scheme, ``"tls://127.0.0.1"``.
    scheduler : str
        The host of the scheduler.
    timeout : float
        Seconds after which it fails.
    security : Security, optional
        Certificates; the cluster is then on TLS.
    Worker : type
        `Worker`, `Nanny`, or a subclass.
    client : bool
        Whether there is a client.
    scheduler_kwargs, worker_kwargs, client_kwargs : dict, optional
        More arguments for them.
    config : dict, optional
        Configuration while it runs.
    clean_kwargs : dict, optional
        Arguments of `clean`.
    active_rpc_timeout, allow_unclosed, cluster_dump_directory
        Accepted for compatibility.

    Examples
    --------
    >>> @gen_cluster(client=True)
    ... async def test_submit(c, s, a, b):
    ...     assert await c.submit(abs, -1, workers=a.address) == 1
    """
    _check_called(nthreads, "gen_cluster")
    security = Security(**security) if isinstance(security, dict) else security

    def decorate(func: _Test) -> Callable[..., None]:
        _check_coroutine(func, "gen_cluster")

        async def with_cluster(*args: Any, **kwargs: Any) -> None:
            s, workers = await start_cluster(
                nthreads, scheduler, security, Worker, scheduler_kwargs, worker_kwargs
            )
            try:
                if not client:
                    await func(s, *workers, *args, **kwargs)
                    return
                options = {"security": security, **(client_kwargs or {})}
                async with Client(s.address, asynchronous=True, **options) as made:
                    await func(made, s, *workers, *args, **kwargs)
            finally:
                await end_cluster(s, workers)

        @functools.wraps(func)
        def test(*args: Any, **kwargs: Any) -> None:
            _run(lambda: with_cluster(*args, **kwargs), timeout, config, clean_kwargs)

        signature = inspect.signature(func)
        rest = _left_for_pytest(signature, int(client) + 1 + len(nthreads))
        # pytest reads it: what is left are fixtures and parameters.
        test.__signature__ = signature.replace(parameters=rest)  # type: ignore[attr-defined]
        return test

    return decorate


def gen_tls_cluster(**kwargs: Any) -> Callable[[_Test], Callable[..., None]]:
    """`gen_cluster` with certificates, and nothing unencrypted.

    Examples
    --------
    >>> @gen_tls_cluster(client=True)
    ... async def test_encrypted(c, s, a, b):
    ...     assert s.address.startswith("tls://")
    """
    kwargs.setdefault("nthreads", [("tls://127.0.0.1", 1), ("tls://127.0.0.1", 2)])
    kwargs.setdefault("security", tls_only_security())
    return gen_cluster(scheduler="tls://127.0.0.1", **kwargs)


async def start_cluster(
    nthreads: Sequence[tuple[Any, ...]] = _WORKERS,
    scheduler_addr: str = "127.0.0.1",
    security: Security | dict[str, Any] | None = None,
    Worker: type[Any] = _Worker,
    scheduler_kwargs: dict[str, Any] | None = None,
    worker_kwargs: dict[str, Any] | None = None,
) -> tuple[Scheduler, list[Any]]:
    """Start what `gen_cluster` starts, and return scheduler and workers; see `end_cluster`."""
    security = Security(**security) if isinstance(security, dict) else security
    protocol = "tls" if security is not None and security.encrypted else "tcp"
    common: dict[str, Any] = {"security": security, "protocol": protocol}
    options = {
        "port": 0,
        "validate": True,
        **common,
        **_place(scheduler_addr),
        **(scheduler_kwargs or {}),
    }
    scheduler = await Scheduler(**options)
    workers = []
    try:
        for number, (place, threads, *more) in enumerate(nthreads):
            options = {
                "name": number,
                "nthreads": threads,
                "memory_limit": memory_available(),
                "validate": True,
                **common,
                **_place(place),
                **(worker_kwargs or {}),
                **(more[0] if more else {}),
            }
            workers.append(Worker(scheduler.address, **options))
        await asyncio.gather(*(worker.start() for worker in workers))
    except BaseException:
        await end_cluster(scheduler, workers)
        raise
    return scheduler, workers


async def end_cluster(s: Scheduler, workers: Sequence[Any]) -> None:
    """Close workers, then their scheduler."""
    try:
        await asyncio.gather(*(worker.close() for worker in workers))
    finally:
        await s.close()


def _place(address: str) -> dict[str, str]:
    """Return the arguments of a server for a host, which may come with a scheme."""
    protocol, scheme, host = address.rpartition("://")
    return {"host": host, "protocol": protocol} if scheme else {"host": host}


def _left_for_pytest(signature: inspect.Signature, given: int) -> list[inspect.Parameter]:
    """Return the parameters that servers and client are no arguments of."""
    left = []
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.VAR_POSITIONAL:
            given = 0  # all others of them; what follows has to be named
        elif parameter.kind is parameter.KEYWORD_ONLY or not given:
            left.append(parameter)
        else:
            given -= 1
    return left


def _run(
    make: Callable[[], Coroutine[Any, Any, Any]],
    timeout: float,
    config: dict[str, Any] | None,
    clean_kwargs: dict[str, Any] | None,
) -> None:
    async def limited() -> None:
        try:
            async with asyncio.timeout(timeout) as limit:
                await make()
        except TimeoutError:
            if limit.expired():
                raise TimeoutError(f"the test did not end within {timeout} s") from None
            raise

    with (
        clean(**(clean_kwargs or {})),
        dask.config.set(config or {}),
        asyncio.Runner(loop_factory=new_event_loop) as runner,
    ):
        runner.run(limited())


def _check_called(first: Any, name: str) -> None:
    if callable(first):
        raise TypeError(f"write @{name}(), with parentheses")


def _check_coroutine(func: Any, name: str) -> None:
    if not inspect.iscoroutinefunction(func):
        raise TypeError(f"@{name}() is for coroutine functions; write async def {func.__name__}")
