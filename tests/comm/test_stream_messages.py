"""Messages of users' own: bounded in number, and nothing of them is logged raw."""

from __future__ import annotations

from typing import Any

import pytest

from shoal.comm import stream_messages


class _Server:
    stream_handlers: dict[str, Any] = {}

    def __init__(self) -> None:
        self.begun: list[Any] = []

    def background(self, coroutine: Any) -> Any:
        coroutine.close()
        self.begun.append(coroutine)
        return self

    def done(self) -> bool:
        return False


def test_a_handler_that_is_not_there_is_named_on_one_short_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stream_messages.receive(_Server(), [{"op": "x\n\x1b[31m" * 10_000}])  # type: ignore[arg-type]
    (record,) = caplog.records
    text = record.getMessage()
    assert "\n" not in text and "\x1b" not in text and len(text) < 1000


def test_what_waits_for_a_peer_is_bounded(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(stream_messages, "_MOST", 10)
    box = stream_messages.Outbox(_Server(), "tcp://127.0.0.1:1")  # type: ignore[arg-type]
    for _ in range(25):
        box._add(({"op": "x"},))
    assert len(box._messages) <= 10
    assert "are dropped" in caplog.text
