"""The first words on a connection: are you shoal, of my version, and do you know the secret?

Each word is magic (6 bytes), protocol version (u16), kind (u16), length (u16) and content. Nothing
of a word is decoded before it is known that its sender holds the secret, nothing is unpickled, and
little is read.

Over networks, who connects knocks: a nonce, wishes, and an HMAC of both under the secret, so that
a listener does no more for strangers than to compute one. Then both speak mutual TLS 1.3 with
certificates that the secret's authorities signed (`certificates`). The acceptor is the client and
proves itself last: only to who has proven to hold the secret on this very connection. Its first
encrypted word repeats the digest of the knock. The certificates say which roles meet, and a worker
answers only under addresses of its own.

On sockets that one user alone can reach, and on networks where encryption is turned off, both sides
prove the same by HMAC of both nonces (the challenge-response of ISO/IEC 9798-4), the side that
connects first. On ``tls`` the user's certificates are the proof, and the words carry wishes only.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import ssl
import struct
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import msgspec

from shoal.comm.certificates import identity_of, role_of_certificate
from shoal.comm.compression import SAME_HOST
from shoal.comm.frames import FrameProtocol
from shoal.comm.keys import Keys
from shoal.comm.strangers import clean
from shoal.errors import CommClosedError, HandshakeError, InterruptedHandshakeError

__all__ = [
    "PROTOCOL_VERSION",
    "Agreed",
    "BusyError",
    "Passage",
    "Terms",
    "UnknownSecretError",
    "accept",
    "ask_passage",
    "call_back",
    "introduce",
    "refuse",
    "say_passed",
]

PROTOCOL_VERSION: Final = 2

_MAGIC = b"SHOAL\n"
_WORD = struct.Struct("<6sHHH")
_NONCE, _MAC = 16, 32
_HTTP_VERBS = (b"GET ", b"POST", b"HEAD", b"PUT ", b"OPTI", b"DELE", b"CONN", b"PATC", b"PRI ")
_TLS_RECORD: Final = 0x16

# Kinds of words.
_HELLO, _CHALLENGE, _ANSWER, _KNOCK, _WELCOME, _ERROR = 1, 2, 3, 4, 5, 9
_THROUGH, _BACK, _PASSED = 6, 7, 8  # of connections that are passed on: see `relay`
# Kinds of errors.
_OTHER, _UNKNOWN, _BUSY = 0, 1, 2

_UNKNOWN_TEXT = (
    "the peer has another cluster secret than this process; both must use the same "
    "'shoal.secret', SHOAL_SECRET or secret file"
)


class UnknownSecretError(HandshakeError):
    """The listener does not accept the secret that was used."""


class BusyError(CommClosedError):
    """The listener has no time for newcomers now."""


class Wishes(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """The connecting side's words about itself, once it is known to be a member."""

    compressions: list[str]
    dialed: str  # the address as it was given
    reached: str  # the address that it led to
    expected: list[str]  # roles that may answer


class Terms(NamedTuple):
    """The keys and options that one side brings to a handshake.

    Attributes
    ----------
    keys : sequence of Keys
        The versions that it accepts, its own first.
    role : str or None
        Its role.
    protection : {"tls", "local", "plain", "certificates"}
        How connections of the scheme are protected: by TLS under the secret, by the operating
        system, not at all, or by TLS with certificates of the user's.
    compressions : sequence of str
        That it knows, the best first.
    """

    keys: Sequence[Keys]
    role: str | None
    protection: str
    compressions: Sequence[str]


class Passage(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """The wish of a member for a way to another process, not for an answer of this one.

    Attributes
    ----------
    address : str
        Of the peer that is to be reached; of the member itself that comes back.
    token : str
        Of the passage for which it was called; empty for a new one.
    """

    address: str
    token: str = ""


@dataclass(frozen=True)
class Agreed:
    """The result of a handshake.

    Attributes
    ----------
    compression : str or None
        Of what follows.
    role : str or None
        The role that the peer has proven; None for one that may be anything.
    identity : str or None
        A digest of the peer's certificate: the same for all connections of one process.
    """

    compression: str | None
    role: str | None = None
    identity: str | None = None


# ---------------------------------------------------------------------- the connecting side


async def introduce(
    protocol: FrameProtocol,
    terms: Terms,
    keys: Keys | None,
    dialed: str = "",
    reached: str = "",
    expected: Collection[str] = (),
) -> Agreed:
    """Do the part of the connecting side.

    Parameters
    ----------
    protocol : FrameProtocol
        The connection.
    terms : Terms
        The keys and options of this side.
    keys : Keys or None
        Which of the terms' to use.
    dialed, reached : str
        The address as it was given, and what it led to.
    expected : collection of str
        Roles that may answer; any that listens by default.

    Raises
    ------
    HandshakeError
        When the peer is something else, or the two do not belong together.
    """
    wishes = msgspec.msgpack.encode(
        Wishes(list(terms.compressions), dialed, reached, list(expected))
    )
    nonce = secrets.token_bytes(_NONCE)
    if terms.protection in ("tls", "certificates"):
        return await _knock(protocol, terms, keys, nonce, wishes, expected)
    assert keys is not None
    key = _symmetric_key(keys, terms)
    _say(protocol, _HELLO, nonce)
    theirs = await _hear(protocol, _CHALLENGE, "the server")
    if len(theirs) != _NONCE:
        raise HandshakeError("the server's challenge is not whole")
    _say(protocol, _ANSWER, _proof(key, b"connects", nonce, theirs, wishes) + wishes)
    welcome = await _hear(protocol, _WELCOME, "the server")
    proof, body = welcome[:_MAC], welcome[_MAC:]
    if not hmac.compare_digest(_proof(key, b"accepts", nonce, theirs, wishes + body), proof):
        raise UnknownSecretError(_UNKNOWN_TEXT)
    protocol.begin_frames()
    return Agreed(_compression(body))


async def _knock(
    protocol: FrameProtocol,
    terms: Terms,
    keys: Keys | None,
    nonce: bytes,
    wishes: bytes,
    expected: Collection[str],
) -> Agreed:
    mac = _proof(keys.knock, b"knocks", nonce, wishes) if keys is not None else bytes(_MAC)
    knock = nonce + mac + wishes
    _say(protocol, _KNOCK, knock)
    theirs, identity = None, None
    if terms.protection == "tls":
        assert keys is not None
        if await _first(protocol) != _TLS_RECORD:
            await _hear(protocol, 0, "the server")  # raises what it says
        own = keys.role_for(terms.role)
        der = await protocol.secure(identity_of(keys, own).connects, server_side=True)
        theirs, identity = _seen(der, keys)
        if expected and theirs not in expected:
            raise HandshakeError(
                f"a {theirs} answers there, not a {' or '.join(expected)}: the address is not "
                "what it was, or somebody leads connections astray"
            )
    welcome = await _hear(protocol, _WELCOME, "the server")
    if not hmac.compare_digest(hashlib.sha256(knock).digest(), welcome[:_MAC]):
        raise HandshakeError("what this process sent was changed on its way")
    protocol.begin_frames()
    return Agreed(_compression(welcome[_MAC:]), theirs, identity)


async def ask_passage(protocol: FrameProtocol, terms: Terms, keys: Keys, address: str) -> None:
    """Have a scheduler pass this connection on to a peer, who then waits for the first word."""
    _say_passage(protocol, terms, keys, _THROUGH, Passage(address))
    await _hear(protocol, _PASSED, "the scheduler")


def call_back(protocol: FrameProtocol, terms: Terms, keys: Keys, address: str, token: str) -> None:
    """Answer a scheduler's call: the next word on this connection is of a peer that wants in."""
    _say_passage(protocol, terms, keys, _BACK, Passage(address, token))


def _say_passage(
    protocol: FrameProtocol, terms: Terms, keys: Keys, kind: int, passage: Passage
) -> None:
    nonce = secrets.token_bytes(_NONCE)
    body = msgspec.msgpack.encode(passage)
    key = keys.knock if terms.protection == "tls" else _symmetric_key(keys, terms)
    _say(protocol, kind, nonce + _proof(key, bytes([kind]), nonce, body) + body)


def say_passed(protocol: FrameProtocol) -> None:
    """Tell a member that its way is open."""
    _say(protocol, _PASSED, b"")


# ---------------------------------------------------------------------- the accepting side


async def accept(
    protocol: FrameProtocol, terms: Terms, addresses: Collection[str]
) -> Agreed | Passage:
    """Do the part of the accepting side; what is to be passed on is not answered yet.

    Parameters
    ----------
    protocol : FrameProtocol
        The connection.
    terms : Terms
        The keys and options of this side.
    addresses : collection of str
        Under which this side may be reached.

    Raises
    ------
    HandshakeError
        When the peer is something else, or the two do not belong together.
    """
    kind, content = await _hear_any(protocol, "the client")
    if kind in (_THROUGH, _BACK) and terms.protection in ("tls", "plain"):
        return _passage(terms, kind, content)
    if terms.protection in ("tls", "certificates"):
        if kind == _HELLO:
            raise HandshakeError(
                "the client does not encrypt, this process does: 'shoal.comm.encryption' must be "
                "the same in all processes"
            )
        _expect(kind, _KNOCK)
        return await _accept_knock(protocol, terms, content, addresses)
    if kind == _KNOCK:
        raise HandshakeError(
            "the client encrypts, this process does not: 'shoal.comm.encryption' must be the same "
            "in all processes"
        )
    _expect(kind, _HELLO)
    if len(content) != _NONCE:
        raise HandshakeError("the client's hello is not whole")
    nonce = secrets.token_bytes(_NONCE)
    _say(protocol, _CHALLENGE, nonce)
    answer = await _hear(protocol, _ANSWER, "the client")
    proof, body = answer[:_MAC], answer[_MAC:]
    for keys in terms.keys:
        key = _symmetric_key(keys, terms)
        if hmac.compare_digest(_proof(key, b"connects", content, nonce, body), proof):
            break
    else:
        raise UnknownSecretError("the client does not know the cluster's secret")
    wishes = _wishes(body)
    said, compression = _choose(terms, wishes)
    proof = _proof(key, b"accepts", content, nonce, body + said)
    # The peer's bytes right after this are framed already.
    _say(protocol, _WELCOME, proof + said)
    protocol.begin_frames()
    return Agreed(compression)


def _passage(terms: Terms, kind: int, content: bytes) -> Passage:
    nonce, mac, body = content[:_NONCE], content[_NONCE : _NONCE + _MAC], content[_NONCE + _MAC :]
    for keys in terms.keys:
        key = keys.knock if terms.protection == "tls" else _symmetric_key(keys, terms)
        if hmac.compare_digest(_proof(key, bytes([kind]), nonce, body), mac):
            break
    else:
        raise UnknownSecretError("the client does not know the cluster's secret")
    try:
        passage = msgspec.msgpack.decode(body, type=Passage)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise HandshakeError(f"the client sent garbage during the handshake: {error}") from error
    if bool(passage.token) != (kind == _BACK):
        raise HandshakeError("the client asked for a passage that is none")
    return passage


async def _accept_knock(
    protocol: FrameProtocol, terms: Terms, knock: bytes, addresses: Collection[str]
) -> Agreed:
    nonce, mac, body = knock[:_NONCE], knock[_NONCE : _NONCE + _MAC], knock[_NONCE + _MAC :]
    role = identity = None
    if terms.protection == "tls":
        for keys in terms.keys:
            if hmac.compare_digest(_proof(keys.knock, b"knocks", nonce, body), mac):
                break
        else:
            raise UnknownSecretError("the client does not know the cluster's secret")
        protocol.has_proven = True
        own = keys.role_for(terms.role, listens=True)
        der = await protocol.secure(identity_of(keys, own).accepts, server_side=False)
        role, identity = _seen(der, keys)
    wishes = _wishes(body)
    # The certificate says that this is a scheduler, as was wanted, and ports before schedulers are
    # often forwarded.
    if terms.protection == "tls" and not (own == "scheduler" and own in wishes.expected):
        _check_address(wishes, own, addresses)
    said, compression = _choose(terms, wishes)
    _say(protocol, _WELCOME, hashlib.sha256(knock).digest() + said)
    protocol.begin_frames()
    return Agreed(compression, role, identity)


def _check_address(wishes: Wishes, own: str, addresses: Collection[str]) -> None:
    own_places = {_place(each) for each in addresses}
    if _place(wishes.reached) not in own_places and _place(wishes.dialed) not in own_places:
        raise HandshakeError(
            f"the client wanted {clean(wishes.dialed)}, which is not where this {own} listens "
            f"({', '.join(sorted(addresses))}); where a port is forwarded, say so with "
            "contact_address"
        )


def _place(address: str) -> str:
    """Return host and port: schemes of third parties lead to ours."""
    return address.rpartition("://")[2]


def refuse(protocol: FrameProtocol, error: BaseException) -> None:
    """Tell the peer why it is refused, in its own language where that is known."""
    text = str(error)
    if "HTTP request" in text:
        body = b"This port speaks shoal's own protocol, not HTTP.\n"
        protocol.write_raw(
            b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        )
    elif isinstance(error, _RefusedError | InterruptedHandshakeError) or (
        isinstance(error.__cause__, ssl.SSLError)
    ):
        pass  # it knows
    elif isinstance(error, UnknownSecretError):
        _say(protocol, _ERROR, bytes([_UNKNOWN]))
    elif isinstance(error, BusyError):
        _say(protocol, _ERROR, bytes([_BUSY]))
    else:
        _say(protocol, _ERROR, bytes([_OTHER]) + clean(text).encode())


# ---------------------------------------------------------------------- both


def _symmetric_key(keys: Keys, terms: Terms) -> bytes:
    if terms.protection == "local":
        return keys.local
    if keys.plain is None:
        raise HandshakeError(
            "the secret of a role needs encryption, and 'shoal.comm.encryption' is off"
        )
    return keys.plain


def _proof(key: bytes, *parts: bytes) -> bytes:
    """HMAC-SHA256 of the parts; all but the last have a fixed length."""
    return hmac.digest(key, b"shoal %d " % PROTOCOL_VERSION + b"".join(parts), hashlib.sha256)


def _seen(der: bytes, keys: Keys) -> tuple[str, str]:
    try:
        role = role_of_certificate(der, keys)
    except ssl.SSLError as error:
        raise HandshakeError(f"its certificate does not pass: {error}") from error
    return role, hashlib.sha256(der).hexdigest()[:32]


def _wishes(body: bytes) -> Wishes:
    try:
        return msgspec.msgpack.decode(body, type=Wishes)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise HandshakeError(f"the client sent garbage during the handshake: {error}") from error


def _choose(terms: Terms, wishes: Wishes) -> tuple[bytes, str | None]:
    offered = wishes.compressions
    compression = next((name for name in terms.compressions if name in offered), None)
    if compression is not None and compression.startswith(SAME_HOST):
        compression = None
    return msgspec.msgpack.encode(compression), compression


def _compression(body: bytes) -> str | None:
    try:
        return msgspec.msgpack.decode(body, type=str | None)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise HandshakeError(f"the server sent garbage during the handshake: {error}") from error


def _say(protocol: FrameProtocol, kind: int, content: bytes) -> None:
    protocol.write_raw(_WORD.pack(_MAGIC, PROTOCOL_VERSION, kind, len(content)) + content)


async def _first(protocol: FrameProtocol) -> int:
    try:
        return await protocol.first_raw()
    except HandshakeError:
        raise
    except CommClosedError as error:
        raise _hung_up("the server") from error


async def _hear(protocol: FrameProtocol, kind: int, peer: str) -> bytes:
    """Return the content of the next word, which has to be of a kind."""
    heard, content = await _hear_any(protocol, peer)
    _expect(heard, kind)
    return content


async def _hear_any(protocol: FrameProtocol, peer: str) -> tuple[int, bytes]:
    try:
        # Foreign protocols may send less than a whole word: look at the first bytes first.
        start = await protocol.read_raw(4)
        _diagnose(start)
        head = start + await protocol.read_raw(_WORD.size - 4)
        magic, version, kind, length = _WORD.unpack(head)
        if magic != _MAGIC:
            raise HandshakeError(f"{peer} does not speak shoal: it began with {head!r}")
        if version != PROTOCOL_VERSION:
            raise HandshakeError(
                f"{peer} speaks version {version} of shoal's protocol, this process version "
                f"{PROTOCOL_VERSION}; install the same shoal on both"
            )
        if length > protocol.handshake_bytes - _WORD.size:
            raise HandshakeError(f"{peer} announced {length} bytes before it was let in")
        content = await protocol.read_raw(length)
    except HandshakeError:
        raise
    except CommClosedError as error:
        raise _hung_up(peer) from error
    if kind == _ERROR:
        _raise(content, peer)
    return kind, content


def _hung_up(peer: str) -> InterruptedHandshakeError:
    return InterruptedHandshakeError(
        f"{peer} closed the connection during the handshake; does it expect TLS (tls://)?"
    )


class _RefusedError(HandshakeError):
    """The peer has refused this side, and said why."""


def _raise(content: bytes, peer: str) -> None:
    code = content[0] if content else _OTHER
    if code == _UNKNOWN:
        raise UnknownSecretError(_UNKNOWN_TEXT)
    if code == _BUSY:
        raise BusyError(f"{peer} has too many handshakes under way; it is to be tried again later")
    text = clean(content[1:].decode(errors="replace"))
    raise _RefusedError(f"{peer} refused the connection: {text}")


def _expect(kind: int, expected: int) -> None:
    if kind != expected:
        raise HandshakeError(f"a word of kind {kind} came during the handshake, not {expected}")


def _diagnose(start: bytes) -> None:
    if start in _HTTP_VERBS:
        raise HandshakeError("this is not an HTTP server, but the peer sent an HTTP request")
    if start == b"HTTP":
        raise HandshakeError("the peer is an HTTP server, not a shoal process")
    if start[:2] in (b"\x16\x03", b"\x15\x03"):
        raise HandshakeError(
            "the peer speaks TLS, this side does not; use a tls:// address on both sides"
        )
