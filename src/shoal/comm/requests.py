"""One request of the open protocol, and its answer: a value, or an error that is raised here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shoal.comm.base import Comm
from shoal.errors import CommClosedError, RemoteError
from shoal.wire.blob import Blob
from shoal.wire.failures import load_failure, pack_failure

__all__ = ["error_message", "raise_error", "send_recv"]

_FAILED = "uncaught-error"


def error_message(error: BaseException) -> dict[str, Any]:
    """Return the answer that makes the peer raise an error that was just caught."""
    failure = pack_failure(error)
    return {
        "status": _FAILED,
        "exception": failure.exception,
        "traceback": failure.traceback,
        "text": failure.exception_text,
        "traceback_text": failure.traceback_text,
    }


def raise_error(answer: dict[str, Any], unpickle: bool = True) -> None:
    """Raise the error of an answer of `error_message`.

    Parameters
    ----------
    answer : dict
        The message.
    unpickle : bool
        False: the peer is not to be trusted with code; the error is a `RemoteError` with its text.
    """
    exception, traceback = answer.get("exception"), answer.get("traceback")
    if unpickle and isinstance(exception, Blob) and isinstance(traceback, Blob):
        raise load_failure(exception, traceback, answer["text"])
    raise RemoteError(f"{answer['text']}\n{answer.get('traceback_text', '')}".strip())


async def send_recv(
    comm: Comm,
    *,
    reply: bool = True,
    close: bool = False,
    serializers: Sequence[str] | None = None,
    deserializers: Sequence[str] | None = None,
    **kwargs: Any,
) -> Any:
    """Send a request and return its answer; the connection can be used again afterwards.

    Parameters
    ----------
    comm : Comm
        A connection to a server, with no request under way.
    reply : bool
        Whether to wait for an answer.
    close : bool
        Whether the connection ends with the answer, at both ends.
    serializers, deserializers : list of str, optional
        Families for what msgpack does not know; by default those of the connection.
    **kwargs
        The message: `op` and its arguments.

    Raises
    ------
    Exception
        The exception of the peer's handler, with its traceback.
    CommClosedError
        When the connection ended first.
    """
    done = False
    try:
        request = {**kwargs, "reply": reply}
        if close:
            request["close"] = True
        if serializers is not None:
            request["serializers"] = list(serializers)  # for the answer too
        await comm.write(request, serializers=serializers, on_error="raise")
        answer = await comm.read(deserializers=deserializers) if reply else None
        if close:  # the peer closes its end too: nobody may ask on it again
            await comm.close()
        done = True
    except CommClosedError as error:
        raise CommClosedError(
            f"the connection to {comm.peer_address} ended during {kwargs.get('op')!r}: {error}"
        ) from error
    finally:
        if not done:  # an answer may still come: nobody may take it for another's
            comm.abort()
    if type(answer) is dict and answer.get("status") == _FAILED:
        raise_error(answer, unpickle=comm.deserialize)
    return answer
