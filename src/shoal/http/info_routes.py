"""Pages of plain HTML about workers, tasks, failures and logs: they need no script, and no more of
the scheduler than what they show.
"""

from __future__ import annotations

import html
from typing import Any
from urllib.parse import quote

from dask.utils import format_bytes, format_time
from tornado.web import HTTPError

from shoal._base.keys import decode_key
from shoal.http.handler import PageHandler
from shoal.http.pages import MOST
from shoal.http.tables import STYLE, Html, table
from shoal.scheduler.core.explain import story
from shoal.scheduler.operations import activity, information, membership

__all__ = ["routes"]

_LINES = 1000
_STORY = 200


def routes(server: Any) -> list[Any]:
    """Return (path, handler) of all of them."""
    return [
        (r"/info/?", ToWorkers),
        (r"/info/main/workers\.html", Workers),
        (r"/info/main/exceptions\.html", Exceptions),
        (r"/info/main/logs\.html", Logs),
        (r"/info/worker/(.+)\.html", Worker),
        (r"/info/task/(.+)\.html", Task),
        (r"/info/call-stacks/(.+)\.html", CallStacks),
        (r"/info/call-stack/(.+)\.html", CallStack),
        (r"/info/logs/(.+)\.html", WorkerLogs),
    ]


class _Info(PageHandler):
    for_people = True

    def show(self, title: str, *parts: str) -> None:
        """Answer with a page that begins with links to the others."""
        links = " &middot; ".join(
            f'<a href="../main/{name}.html">{name}</a>'
            for name in ("workers", "exceptions", "logs")
        )
        style = f'<style nonce="{self.nonce}">{STYLE} pre {{ white-space: pre-wrap; }}</style>'
        status = '<a href="../../status">status</a>'
        self.write_page(title, "\n".join([style, f"<p>{status} &middot; {links}</p>", *parts]))

    def worker(self, address: str) -> Any:
        ws = self.server.state.workers.get(address)
        if ws is None:
            raise HTTPError(404, f"there is no worker {address}")
        return ws


class ToWorkers(_Info):
    """Where visitors begin."""

    def get(self) -> None:
        there = self.request.path.endswith("/")
        query = f"?{self.request.query}" if self.request.query else ""
        self.redirect(("" if there else "info/") + "main/workers.html" + query)


class Workers(_Info):
    """All workers."""

    def get(self) -> None:
        workers = list(self.server.state.workers.values())
        rows = [
            (
                _link("worker", ws.address, ws.name),
                ws.status,
                ws.nthreads,
                len(ws.processing),
                len(ws.held),
                format_bytes(ws.nbytes),
                format_bytes(ws.metrics.get("memory", 0)),
                _link("logs", ws.address, "logs"),
                _link("call-stacks", ws.address, "call stacks"),
                ws.address,
            )
            for ws in workers[:MOST]
        ]
        heads = ("Worker", "Status", "Threads", "Processing", "Stored", "Data", "Memory")
        rest = f"<p>and {len(workers) - MOST} more</p>" if len(workers) > MOST else ""
        self.show("Workers", table((*heads, "", "", "Address"), rows), rest)


class Exceptions(_Info):
    """Tasks that failed; those that failed for another's sake are not named."""

    def get(self) -> None:
        rows = []
        state = self.server.state
        for name, group in state.groups.items():
            if not group.entered["erred"]:
                continue
            for ts in state.tasks.values():
                if ts.group is group and ts.rare is not None and ts.rare.error is not None:
                    error = ts.rare.error
                    rows.append(
                        (_task(ts.key), name, error.worker, Html(_pre(error.traceback_text)))
                    )
                if len(rows) >= MOST:
                    break
            if len(rows) >= MOST:
                break
        shown = table(("Task", "Group", "Worker", "Traceback"), rows) if rows else "<p>none</p>"
        self.show("Exceptions", shown)


class Logs(_Info):
    """The scheduler's log."""

    def get(self) -> None:
        self.show("Logs of the scheduler", _records(self.server.log_buffer.tail(_LINES)))


class Worker(_Info):
    """One worker."""

    def get(self, address: str) -> None:
        ws = self.worker(address)
        told = self.server.describe_worker(ws)
        told.pop("metrics")
        numbers = [(name, value) for name, value in ws.metrics.items()]
        running = [(_task(ts.key), ts.state, ts.group.prefix.name) for ts in _first(ws.processing)]
        held = [
            (_task(ts.key), format_bytes(ts.nbytes), ts.type) for ts in _first(ws.held.values())
        ]
        links = f"{_link('logs', address, 'logs')} &middot; "
        self.show(
            f"Worker {ws.name}",
            f"<p>{links}{_link('call-stacks', address, 'call stacks')}</p>",
            table(("", ""), list(told.items()), "tasks"),
            f"<h2>Processing ({len(ws.processing)})</h2>",
            table(("Task", "State", "Prefix"), running),
            f"<h2>Stored ({len(ws.held)})</h2>",
            table(("Task", "Size", "Type"), held),
            "<h2>Numbers</h2>",
            table(("", ""), numbers, "tasks"),
        )


class Task(_Info):
    """One task: where it is and why, what it needs, what became of it."""

    def get(self, key: str) -> None:
        server = self.server
        ts = server.state.tasks.get(key)
        if ts is None:
            raise HTTPError(404, f"there is no task {key}")
        error = ts.rare.error if ts.rare is not None else None
        facts = [
            ("State", ts.state),
            ("Why", information.explain_task(server, key)),
            ("Prefix", ts.group.prefix.name),
            ("Priority", ts.priority),
            ("Worker", ts.worker.address if ts.worker is not None else ""),
            ("Size", format_bytes(ts.nbytes) if ts.nbytes >= 0 else ""),
            ("Type", ts.type),
            ("Expected to take", format_time(max(ts.group.prefix.duration, 0.0))),
            ("Clients", ", ".join(client.id for client in ts.wanted_by)),
            ("Call stack", _link("call-stack", key, "now")),
        ]
        log = [
            (start, finish, what, f"{server.wall_time(when):.3f}")
            for _, start, finish, what, when in story(server.state, [key])[-_STORY:]
        ]
        holders = _first(ts.who_has)
        self.show(
            f"Task {decode_key(key)}",
            table(("", ""), facts, "tasks"),
            _pre(error.traceback_text + "\n" + error.exception_text) if error else "",
            "<h2>Needs</h2>",
            table(("Task", "State"), [(_task(each.key), each.state) for each in _first(ts.deps)]),
            "<h2>Is needed by</h2>",
            table(
                ("Task", "State"),
                [(_task(each.key), each.state) for each in _first(ts.dependents or ())],
            ),
            "<h2>Is on</h2>",
            table(("Worker",), [(_link("worker", ws.address, ws.name),) for ws in holders]),
            "<h2>What became of it</h2>",
            table(("From", "To", "Because of", "At"), log),
        )


class CallStacks(_Info):
    """The call stacks of a worker's tasks."""

    async def get(self, address: str) -> None:
        self.worker(address)
        msg = {"op": "call_stack", "keys": None}
        found = await membership.broadcast(self.server, msg, [address], on_error="ignore")
        stacks = found.get(address) or {}
        parts = [f"<h2>{_task(key)}</h2>{_pre(''.join(stack))}" for key, stack in stacks.items()]
        self.show(f"Call stacks of {address}", *(parts or ["<p>nothing runs</p>"]))


class CallStack(_Info):
    """The call stack of one task."""

    async def get(self, key: str) -> None:
        found = await activity.call_stack(self.server, [key])
        stacks = [_pre("".join(lines)) for each in found.values() for lines in each.values()]
        self.show(f"Call stack of {key}", *(stacks or ["<p>it does not run</p>"]))


class WorkerLogs(_Info):
    """A worker's log."""

    async def get(self, address: str) -> None:
        self.worker(address)
        msg = {"op": "logs", "n": _LINES}
        found = await membership.broadcast(self.server, msg, [address], on_error="ignore")
        self.show(f"Logs of {address}", _records(found.get(address) or []))


def _first(values: Any) -> list[Any]:
    return [each for each, _ in zip(values, range(MOST))]


def _pre(text: str) -> str:
    return f"<pre>{_escape(text)}</pre>"


def _records(newest_first: list[Any]) -> str:
    lines = [text for _, text in reversed(newest_first)]
    return _pre("\n".join(lines)) if lines else "<p>nothing</p>"


def _task(key: str) -> Html:
    return _link("task", key, key)


def _link(page: str, of: str, text: Any) -> Html:
    return Html(f'<a href="../{page}/{quote(of, safe="")}.html">{_escape(text)}</a>')


def _escape(text: Any) -> str:
    return html.escape(str(text))
