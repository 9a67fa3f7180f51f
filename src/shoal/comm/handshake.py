"""The first words on a connection: are you shoal, of my version, and do you know the secret?

Each word is magic (6 bytes), protocol version (u16), length (u32) and a msgpack map. The client
opens with a nonce; the server answers with its own nonce and the proof that it knows the secret;
the client proves the same; the server says yes. A proof is an HMAC-SHA256 of both nonces under the
secret (the challenge-response of RFC 2104 and ISO/IEC 9798-4), so the secret itself never travels
and a proof is of no use on another connection. Nothing is unpickled here, and at most
`MAX_PREAMBLE` bytes are read.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import struct
from typing import Any

import msgspec

from shoal.comm.frames import MAX_PREAMBLE, FrameProtocol
from shoal.errors import CommClosedError, HandshakeError, InterruptedHandshakeError

__all__ = ["PROTOCOL_VERSION", "accept", "introduce"]

PROTOCOL_VERSION = 1

_MAGIC = b"SHOAL\n"
_WORD = struct.Struct("<6sHI")
_HTTP_VERBS = (b"GET ", b"POST", b"HEAD", b"PUT ", b"OPTI", b"DELE", b"CONN", b"PATC", b"PRI ")


async def introduce(
    protocol: FrameProtocol, secret: bytes, compressions: list[str]
) -> dict[str, Any]:
    """Do the client's part; return what was agreed.

    Raises
    ------
    HandshakeError
        When the peer is something else, or the two do not belong together.
    """
    nonce = secrets.token_bytes(16)
    _say(protocol, {"nonce": nonce, "compression": compressions})
    answer = await _hear(protocol, "the server")
    theirs = _bytes(answer, "nonce")
    if not hmac.compare_digest(_proof(secret, b"server", nonce, theirs), _bytes(answer, "proof")):
        reason = (
            "the peer has another cluster secret than this process; both must use the same "
            "'shoal.secret', SHOAL_SECRET or secret file"
        )
        _say(protocol, {"error": "wrong secret"})
        raise HandshakeError(reason)
    _say(protocol, {"proof": _proof(secret, b"client", nonce, theirs)})
    welcome = await _hear(protocol, "the server")
    protocol.begin_frames()
    return {"compression": welcome.get("compression")}


async def accept(protocol: FrameProtocol, secret: bytes, compressions: list[str]) -> dict[str, Any]:
    """Do the server's part; return what was agreed.

    Raises
    ------
    HandshakeError
        When the peer is something else, or the two do not belong together.
    """
    try:
        hello = await _hear(protocol, "the client")
        nonce = secrets.token_bytes(16)
        theirs = _bytes(hello, "nonce")
        _say(protocol, {"nonce": nonce, "proof": _proof(secret, b"server", theirs, nonce)})
        answer = await _hear(protocol, "the client")
        proof = _bytes(answer, "proof")
        if not hmac.compare_digest(_proof(secret, b"client", theirs, nonce), proof):
            raise HandshakeError("the client does not know the cluster's secret")
    except HandshakeError as error:
        _refuse(protocol, error)
        raise
    offered = hello.get("compression") or []
    compression = next((name for name in compressions if name in offered), None)
    # What the peer sends right after this is framed already.
    _say(protocol, {"compression": compression})
    protocol.begin_frames()
    return {"compression": compression}


def _proof(secret: bytes, role: bytes, client_nonce: bytes, server_nonce: bytes) -> bytes:
    return hmac.new(secret, role + client_nonce + server_nonce, hashlib.sha256).digest()


def _say(protocol: FrameProtocol, word: dict[str, Any]) -> None:
    payload = msgspec.msgpack.encode(word)
    protocol.write_raw(_WORD.pack(_MAGIC, PROTOCOL_VERSION, len(payload)) + payload)


async def _hear(protocol: FrameProtocol, peer: str) -> dict[str, Any]:
    try:
        # Foreign protocols may send less than a whole word: look at the first bytes first.
        start = await protocol.read_raw(4)
        _diagnose(start, protocol)
        head = start + await protocol.read_raw(_WORD.size - 4)
        magic, version, length = _WORD.unpack(head)
        if magic != _MAGIC:
            raise HandshakeError(f"{peer} does not speak shoal: it began with {head!r}")
        if version != PROTOCOL_VERSION:
            raise HandshakeError(
                f"{peer} speaks version {version} of shoal's protocol, this process version "
                f"{PROTOCOL_VERSION}; install the same shoal on both"
            )
        if length > MAX_PREAMBLE - _WORD.size:
            raise HandshakeError(f"{peer} announced {length} bytes before it was let in")
        word = msgspec.msgpack.decode(await protocol.read_raw(length), type=dict[str, Any])
    except HandshakeError:
        raise
    except CommClosedError as error:
        raise InterruptedHandshakeError(
            f"{peer} closed the connection during the handshake; does it expect TLS (tls://)?"
        ) from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise HandshakeError(f"{peer} sent garbage during the handshake: {error}") from error
    if "error" in word:
        raise HandshakeError(f"{peer} refused the connection: {word['error']}")
    return word


def _diagnose(start: bytes, protocol: FrameProtocol) -> None:
    if start in _HTTP_VERBS:
        raise HandshakeError("this is not an HTTP server, but the peer sent an HTTP request")
    if start == b"HTTP":
        raise HandshakeError("the peer is an HTTP server, not a shoal process")
    if start[:2] in (b"\x16\x03", b"\x15\x03"):
        raise HandshakeError(
            "the peer speaks TLS, this side does not; use a tls:// address on both sides"
        )


def _refuse(protocol: FrameProtocol, error: HandshakeError) -> None:
    """Tell the peer why, in its own language where that is known."""
    text = str(error)
    if "HTTP request" in text:
        body = b"This port speaks shoal's own protocol, not HTTP.\n"
        protocol.write_raw(
            b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        )
    elif "refused the connection" not in text and "closed the connection" not in text:
        _say(protocol, {"error": text})


def _bytes(word: dict[str, Any], name: str) -> bytes:
    value = word.get(name)
    if not isinstance(value, bytes):
        raise HandshakeError(f"the peer's handshake lacks {name!r}")
    return value
