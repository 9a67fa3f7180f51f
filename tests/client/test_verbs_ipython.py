"""IPython kernels in workers and schedulers."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from helpers import run

from shoal import Client, RemoteError, Scheduler, Worker
from shoal.client.ipython import _expand


def test_without_ipykernel_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("ipykernel", "ipykernel.kernelapp"):
        monkeypatch.setitem(sys.modules, name, None)  # as if it were not installed

    async def main() -> None:
        async with (
            Scheduler(protocol="inproc") as s,
            Worker(s.address, nthreads=1),
            Client(s.address, asynchronous=True, set_as_default=False) as c,
        ):
            for start in (c.start_ipython_workers, c.start_ipython_scheduler):
                with pytest.raises(
                    (ImportError, RemoteError), match=r"pip install 'shoal\[jupyter\]'"
                ):
                    await start()

    run(main())


def test_magic_names() -> None:
    assert _expand("w_*", 3) == ["w_0", "w_1", "w_2"]
    assert _expand("w", 1) == ["w"] and _expand("w", 2) == ["w_0", "w_1"]
    assert _expand(["a", "b"], 2) == ["a", "b"]
    assert _expand(False, 2) == []
    with pytest.raises(ValueError, match="has 1 names, and there are 2 workers"):
        _expand(["a"], 2)


@pytest.mark.process
@pytest.mark.filterwarnings("ignore")
def test_kernels_run_code_where_they_are() -> None:
    from jupyter_client import BlockingKernelClient

    def outcome(info: dict[str, Any], code: str) -> list[str]:
        kernel = BlockingKernelClient()
        kernel.load_connection_info(info)
        kernel.start_channels()
        kernel.wait_for_ready(20)
        found: list[str] = []

        def take(message: dict[str, Any]) -> None:
            content = message["content"]
            found.extend([content["text"]] if "text" in content else [])
            found.extend([content["data"]["text/plain"]] if "data" in content else [])

        kernel.execute_interactive(code, timeout=20, output_hook=take)
        kernel.stop_channels()
        return found

    with Client(n_workers=1, threads_per_worker=1, dashboard_address=None) as client:
        infos = client.start_ipython_workers()
        ((address, info),) = infos.items()
        assert outcome(info, "print('there'); worker.address") == ["there\n", repr(address)]
        with pytest.warns(DeprecationWarning, match="start_ipython_workers"):
            assert client.start_ipython() == infos
        with pytest.raises(RuntimeError, match="needs IPython here"):
            client.start_ipython_workers(magic_names="w")
        scheduler = client.start_ipython_scheduler()
        assert outcome(scheduler, "len(scheduler.workers)") == ["1"]
        assert client.submit(lambda: 1).result() == 1
