"""Helpers for the tests of those who build on shoal; also `distributed.utils_test`.

They need pytest. A test that is a coroutine gets a whole cluster on its own event loop by
`gen_cluster`; a test of blocking code uses `cluster`, or the fixtures `client`, `s`, `a` and `b`,
whose scheduler and workers have processes. See docs/testing.md.
"""

from __future__ import annotations

from shoal.testing.certificates import tls_config, tls_only_security, tls_security
from shoal.testing.conditions import (
    assert_story,
    async_poll_for,
    async_wait_for,
    captured_handler,
    captured_logger,
    poll_for,
    raises_with_cause,
    wait_for,
)
from shoal.testing.coroutines import NO_AMM, gen_cluster, gen_test
from shoal.testing.fixtures import (
    a,
    b,
    cleanup,
    client,
    cluster_fixture,
    loop,
    loop_in_thread,
    s,
)
from shoal.testing.functions import (
    add,
    asyncinc,
    dec,
    deep,
    div,
    double,
    identity,
    inc,
    map_varying,
    mul,
    slowadd,
    slowdec,
    slowidentity,
    slowinc,
    throws,
    varying,
)
from shoal.testing.leaks import (
    check_instances,
    check_process_leak,
    check_thread_leak,
    clean,
    original_config,
    reset_config,
)
from shoal.testing.processes import cluster, popen

__all__ = [
    "NO_AMM",
    "a",
    "add",
    "assert_story",
    "async_poll_for",
    "async_wait_for",
    "asyncinc",
    "b",
    "captured_handler",
    "captured_logger",
    "check_instances",
    "check_process_leak",
    "check_thread_leak",
    "clean",
    "cleanup",
    "client",
    "cluster",
    "cluster_fixture",
    "dec",
    "deep",
    "div",
    "double",
    "gen_cluster",
    "gen_test",
    "identity",
    "inc",
    "loop",
    "loop_in_thread",
    "map_varying",
    "mul",
    "original_config",
    "poll_for",
    "popen",
    "raises_with_cause",
    "reset_config",
    "s",
    "slowadd",
    "slowdec",
    "slowidentity",
    "slowinc",
    "throws",
    "tls_config",
    "tls_only_security",
    "tls_security",
    "varying",
    "wait_for",
]
