"""Functions that a peer sends: whatever they raise, the server goes on and says so."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from helpers import run

from shoal.comm.function_calls import run_on
from shoal.wire.failures import load_failure
from shoal.wire.pickling import dumps, loads


class Own(BaseException):
    pass


def fail(kind: type[BaseException]) -> None:
    raise kind("from the function")


async def fail_later(kind: type[BaseException]) -> None:
    await asyncio.sleep(0)
    raise kind("from the function")


KINDS = [Own, KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError, ValueError]


@pytest.mark.parametrize("function", [fail, fail_later])
@pytest.mark.parametrize("kind", KINDS)
def test_whatever_is_raised_is_answered(function: Any, kind: type[BaseException]) -> None:
    async def main() -> dict[str, Any]:
        answer = await run_on(None, "server", dumps(function), dumps((kind,)))
        started = await run_on(None, "server", dumps(function), dumps((kind,)), wait=False)
        if function is fail_later:
            assert loads(started["result"]) is None
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        return answer

    answer = run(main())
    assert answer["status"] == "error"
    error = load_failure(answer["exception"], answer["traceback"], answer["text"])
    assert type(error) is kind and str(error) == "from the function"


def test_a_server_that_ends_ends_the_call() -> None:
    async def main() -> None:
        call = asyncio.ensure_future(run_on(None, "server", dumps(asyncio.sleep), dumps((60,))))
        await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    run(main())
