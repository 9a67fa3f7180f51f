"""No wait in the package is without an end: those without a time limit are listed, with their ends.

A wait is what can stop a thread or a coroutine for good: ``wait``, ``get``, ``join``,
``acquire``, ``result`` and the like without a timeout, an awaited future, `asyncio.wait` and
`asyncio.gather` without one, locks of files, processes that are waited for. An awaited call of a
coroutine function is none: its waits are found where they are written. ``with lock:`` is none
either: locks are held for a few statements.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from helpers import ROOT

SOURCE = ROOT / "src" / "shoal"
LIST = Path(__file__).with_name("waits.txt")

# Methods that wait when they are called with nothing, or with what says how long in vain.
METHODS = {"wait", "get", "join", "acquire", "result", "exception", "recv", "communicate"}
METHODS |= {"wait_closed", "wait_for", "select", "readline", "accept", "serve_forever"}
FUNCTIONS = {"asyncio.wait", "asyncio.gather", "asyncio.shield", "asyncio.wrap_future"}
FUNCTIONS |= {"futures.wait", "concurrent.futures.wait", "fcntl.flock", "fcntl.lockf", "os.waitpid"}
FUNCTIONS |= {
    "subprocess.run",
    "subprocess.call",
    "subprocess.check_call",
    "subprocess.check_output",
}
LIMITS = {"timeout", "block", "blocking"}


def waits(tree: ast.AST, inside: str = "") -> Iterator[tuple[str, str]]:
    """Yield (function, what is waited for) of all waits without a time limit."""
    for node in ast.iter_child_nodes(tree):
        name = inside
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            name = node.name
        elif isinstance(node, ast.Await) and isinstance(
            node.value, ast.Name | ast.Attribute | ast.Subscript
        ):
            yield inside, ast.unparse(node)
        elif isinstance(node, ast.Call) and has_no_end(node):
            yield inside, shortened(node)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "within":
            continue  # what it waits for ends by its limit
        yield from waits(node, name)


def has_no_end(call: ast.Call) -> bool:
    what = ast.unparse(call.func)
    if any(keyword.arg in LIMITS for keyword in call.keywords):
        return False
    if what in FUNCTIONS:
        return "LOCK_NB" not in ast.unparse(call) and "LOCK_UN" not in ast.unparse(call)
    if what == "within":
        limit = call.args[1] if len(call.args) > 1 else None
        return limit is None or (isinstance(limit, ast.Constant) and limit.value is None)
    method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    if method == "wait_for":  # of a condition
        return len(call.args) < 2
    return method in METHODS and not call.args and not call.keywords


def shortened(call: ast.Call) -> str:
    """Return a call as text, without what stands in the parentheses of a long one."""
    text = ast.unparse(call)
    return text if len(text) <= 60 else f"{ast.unparse(call.func)}(...)"


def found() -> set[str]:
    sites = set()
    for path in sorted(SOURCE.rglob("*.py")):
        if "simulation" in path.parts:  # no thread and no loop: its clock is a number
            continue
        name = path.relative_to(SOURCE).as_posix()
        for function, what in waits(ast.parse(path.read_text(encoding="utf-8"))):
            sites.add(f"{name} {function or '-'}: {what}")
    return sites


def listed() -> dict[str, str]:
    """Return the reason of each site in the list: the paragraph's first lines, behind ``#``."""
    reasons: dict[str, str] = {}
    reason = ""
    for line in LIST.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            reason += line.strip("# ") + " "
        elif not line:
            reason = ""
        else:
            assert reason, f"{line}: there is no reason above it"
            assert line not in reasons, f"listed twice: {line}"
            reasons[line] = reason
    return reasons


def test_each_wait_has_an_end_or_a_reason() -> None:
    unknown = sorted(found() - listed().keys())
    assert not unknown, (
        "these wait without a time limit: give them one, or write into tests/waits.txt what ends "
        "them:\n" + "\n".join(unknown)
    )


def test_the_list_has_nothing_that_is_gone() -> None:
    gone = sorted(listed().keys() - found())
    assert not gone, "no longer in the source:\n" + "\n".join(gone)


def test_waits_are_found() -> None:
    text = """
import asyncio, queue, fcntl, threading
class A:
    def f(self, q, condition):
        q.get(); q.get(timeout=1); q.get(True, 1); {}.get("key")
        threading.Event().wait(); threading.Event().wait(3)
        condition.wait_for(bool); condition.wait_for(bool, 3)
        lock.acquire(); lock.acquire(blocking=False); ", ".join([])
        fcntl.flock(1, fcntl.LOCK_EX); fcntl.flock(1, fcntl.LOCK_EX | fcntl.LOCK_NB)
    async def g(self, future):
        await future
        await asyncio.wait({future}); await asyncio.wait({future}, timeout=1)
        await within(future, None); await within(self.event.wait(), 1)
        await self.f()
"""
    expected = [
        ("f", "q.get()"),
        ("f", "threading.Event().wait()"),
        ("f", "condition.wait_for(bool)"),
        ("f", "lock.acquire()"),
        ("f", "fcntl.flock(1, fcntl.LOCK_EX)"),
        ("g", "await future"),
        ("g", "asyncio.wait({future})"),
        ("g", "within(future, None)"),
    ]
    assert list(waits(ast.parse(text))) == expected


def test_waits_for_a_time_do_not_forget_that_they_were_cancelled() -> None:
    # `asyncio.wait_for` does, before Python 3.12.
    users = [path.name for path in SOURCE.rglob("*.py") if "asyncio.wait_for(" in path.read_text()]
    assert users == []
