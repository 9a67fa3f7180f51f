"""Workers without any work, for tests of nannies; found by name."""

from __future__ import annotations

import asyncio
import os

from shoal.core import Server


class Idle(Server):
    """Listens, and does what it is told in `run`."""

    def __init__(self, scheduler=None, *, name=None, nanny=None, local_directory=None, **options):
        self.options = options
        self.scheduler = scheduler
        self.nanny = nanny
        self.local_directory = local_directory
        self.close_reason = ""
        self.close_restart = False
        handlers = {"leave": self.leave, "quit": self.quit, "options": self.show}
        super().__init__({**handlers, "env": self.env, "grow": self.grow}, name=name)

    async def start_unsafe(self):
        await self.listen("tcp://127.0.0.1:0")

    def show(self):
        return {key: repr(value) for key, value in self.options.items()}

    def env(self, name):
        return os.environ.get(name)

    def grow(self, nbytes):
        self.ballast = b"x" * nbytes

    def leave(self, code):
        os._exit(code)

    def quit(self, reason, restart):
        self.close_reason, self.close_restart = reason, restart
        asyncio.get_running_loop().create_task(self.close())


class Refusing(Idle):
    async def start_unsafe(self):
        raise ImportError("no module named 'fish'")


class Crashing(Idle):
    async def start_unsafe(self):
        os._exit(7)


class Stuck(Idle):
    async def start_unsafe(self):
        await asyncio.Event().wait()
