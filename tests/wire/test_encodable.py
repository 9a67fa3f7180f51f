"""Messages with texts and numbers that the encoder refuses."""

from __future__ import annotations

import pytest

from shoal._base.keys import decode_key, encode_key
from shoal.wire import messages as m
from shoal.wire.blob import Blob, Buffer
from shoal.wire.codec import BatchCodec
from shoal.wire.encodable import encodable, encodable_text

NAME = b"caf\xe9.csv".decode("utf-8", "surrogateescape")  # as os.listdir gives it


@pytest.mark.parametrize("key", [NAME, "read-" + NAME, (NAME, 0), ("x", (NAME,)), "café.csv", "é"])
def test_any_text_is_a_key_and_comes_back(key: object) -> None:
    wire = encode_key(key)
    wire.encode()
    assert decode_key(wire) == key
    assert encode_key("café.csv") == "café.csv", "what is UTF-8 stays as it is"


def test_parts_of_messages() -> None:
    options = m.TaskOptions(resources={NAME: 1.0}, workers=[NAME, "ok"], retries=2**70)
    fixed = encodable([(options, {NAME}, -(2**70), None, 1.5, b"\xff")])
    [(found, names, least, nothing, number, raw)] = fixed
    assert found.resources == {encodable_text(NAME): 1.0}
    assert found.workers == ["caf\\udce9.csv", "ok"] and found.retries == 2**64 - 1
    assert names == {"caf\\udce9.csv"} and least == -(2**63)
    assert (nothing, number, raw) == (None, 1.5, b"\xff")


def test_a_batch_with_such_a_message_is_sent_whole() -> None:
    codec: BatchCodec[object] = BatchCodec(m.ClientToScheduler)
    buffers = {0: [Buffer(b"x" * 100_000)]}
    graph = m.Graph(
        keys=["a"],
        functions=[b"f"],
        args=[b"\x90"],
        buffers=buffers,
        options=[m.TaskOptions(workers=[NAME])],
    )
    define = m.DefineFunctions([b"f"], [Blob(b"", [Buffer(b"y" * 100_000)])])
    frames = codec.encode([define, graph, m.Release(["b"])])
    assert len(frames) == 3, "no buffer is there twice"
    again = codec.decode(frames)
    assert [type(message) for message in again] == [m.DefineFunctions, m.Graph, m.Release]
    assert again[1].options[0].workers == ["caf\\udce9.csv"]  # type: ignore[attr-defined]
    assert again[1].buffers == buffers  # type: ignore[attr-defined]
