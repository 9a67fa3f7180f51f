"""A store in a bucket, by a server that speaks S3 on this machine."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from shoal import Client, LocalCluster, Store
from shoal.cache import store as module

pytest.importorskip("s3fs", reason="it is an extra")
moto_server = pytest.importorskip("moto.server", reason="it is an extra")

pytestmark = pytest.mark.process


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    options = {
        "key": "key",
        "secret": "secret",
        "endpoint_url": f"http://{host}:{port}",
    }
    import s3fs

    try:
        s3fs.S3FileSystem(**options).makedirs("bucket", exist_ok=True)
        yield options
    finally:
        server.stop()


def double(x: Any) -> Any:
    return x * 2


def test_results_are_found_again_in_a_bucket(bucket: dict[str, Any]) -> None:
    store = Store("s3://bucket/prefix", storage_options=bucket)
    large = np.arange(50_000)
    for _ in range(2):
        with (
            LocalCluster(n_workers=1, dashboard_address=None) as cluster,
            Client(cluster) as client,
        ):
            assert client.gather(client.map(double, range(20), cache=store)) == [
                i * 2 for i in range(20)
            ]
            assert client.submit(double, large, cache=store).result().sum() == large.sum() * 2
    module._backends.clear()
    other = Store("s3://bucket/prefix", storage_options=bucket)
    entries = list(other.ls())
    assert len(entries) == 21 and {entry.function for entry in entries} == {"double"}
    assert other.verify() == []
    assert other.rm(function="double") == 21
    assert list(other.ls()) == []


def test_a_server_that_is_gone_leaves_the_computation_right(
    bucket: dict[str, Any], caplog: Any
) -> None:
    options = {**bucket, "endpoint_url": "http://127.0.0.1:9", "max_attempts": 1}
    options["config_kwargs"] = {"connect_timeout": 1, "retries": {"max_attempts": 0}}
    del options["max_attempts"]
    store = Store("s3://bucket/prefix", storage_options=options)
    with (
        LocalCluster(n_workers=1, processes=False, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        assert client.gather(client.map(double, range(5), cache=store)) == [0, 2, 4, 6, 8]
    said = [record for record in caplog.records if record.name == "shoal.cache"]
    assert len(said) == 1 and "cannot be used" in said[0].getMessage()
    assert threading.active_count() > 0
