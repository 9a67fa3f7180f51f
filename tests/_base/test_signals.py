"""Signals as calls on a loop."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest
from helpers import run

from shoal._base.signals import on_first_signal

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and kill")


def test_the_first_is_a_call_and_forks_end_by_it():
    async def main():
        found = asyncio.get_running_loop().create_future()
        put_back = on_first_signal([signal.SIGTERM], found.set_result)
        try:
            child = os.fork()
            if not child:
                os.kill(os.getpid(), signal.SIGTERM)
                os._exit(0)  # not reached
            assert os.waitpid(child, 0)[1] == signal.SIGTERM
            assert not found.done()
            os.kill(os.getpid(), signal.SIGTERM)
            return await asyncio.wait_for(found, 10)
        finally:
            put_back()

    before = signal.getsignal(signal.SIGTERM)
    assert run(main()) is signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before
