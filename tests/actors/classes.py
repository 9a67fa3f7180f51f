"""The classes that the tests make actors of."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from shoal import get_client, get_worker


class Counter:
    kind = "counter"

    def __init__(self, start: int = 0) -> None:
        self.n = start

    def increment(self) -> int:
        self.n += 1
        return self.n

    def add(self, *numbers: int, times: int = 1) -> int:
        """Add numbers."""
        self.n += sum(numbers) * times
        return self.n

    @property
    def double(self) -> int:
        return 2 * self.n

    def fail(self) -> None:
        raise ZeroDivisionError(f"at {self.n}")

    def give_lock(self) -> Any:
        return threading.Lock()

    def where(self) -> tuple[str, str]:
        return get_worker().address, threading.current_thread().name

    def through_itself(self, me: Any) -> int:
        return me.increment().result() + me.n

    def submit(self) -> int:
        return get_client().submit(sum, [1, 2]).result()


class Log:
    """Notes the order in which its methods begin."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.running = 0
        self.together = 0

    def note(self, what: Any) -> None:
        self.running += 1
        self.together = max(self.together, self.running)
        self.seen.append(what)
        self.running -= 1

    async def note_later(self, what: Any) -> None:
        self.seen.append(what)
        await asyncio.sleep(0)

    def get(self) -> list[Any]:
        return self.seen


class Door:
    """Coroutine methods that wait for each other."""

    def __init__(self) -> None:
        self.open = asyncio.Event()

    async def wait(self) -> str:
        await self.open.wait()
        return "through"

    async def unlock(self) -> None:
        self.open.set()

    async def fail(self) -> None:
        raise KeyError("no such door")


class Gate:
    """Plain methods; `wait` blocks the actor's thread."""

    def __init__(self) -> None:
        self.event = threading.Event()

    def wait(self) -> bool:
        return self.event.wait(30)

    async def open(self) -> None:
        self.event.set()


class Keeper:
    """Keeps another actor."""

    def __init__(self, other: Any = None) -> None:
        self.other = other

    def keep(self, other: Any) -> None:
        self.other = other

    def drop(self) -> None:
        self.other = None

    def pass_on(self) -> Any:
        return self.other.increment().result()

    async def pass_on_later(self) -> Any:
        return await self.other.increment()
