"""Spans for OpenTelemetry: of submits here, of tasks and transfers in `shoal.worker.telemetry`.

Off unless ``shoal.tracing`` is true, and then free but for a look at a variable. The context of a
span travels with tasks as an annotation, in the form of the W3C (``traceparent``), so that a task's
span, and all that users' code makes in it, has the submit for a parent. Where spans go is the
business of OpenTelemetry's own set-up.
"""

from __future__ import annotations

import importlib
from functools import lru_cache
from typing import Any

from shoal import config
from shoal.wire.annotations import TRACE

__all__ = ["context_of", "failed", "is_on", "submit_context", "tracer"]


def is_on() -> bool:
    """Whether spans are wanted.

    Raises
    ------
    ImportError
        When they are, and OpenTelemetry is not installed.
    """
    if not config.get_bool("shoal.tracing"):
        return False
    tracer()
    return True


@lru_cache(maxsize=1)
def _library() -> tuple[Any, Any]:
    try:
        return (
            importlib.import_module("opentelemetry.trace"),
            importlib.import_module("opentelemetry.propagate"),
        )
    except ImportError as error:
        raise ImportError(
            "'shoal.tracing' is true, which takes OpenTelemetry: pip install 'shoal[tracing]', or "
            "set it to false"
        ) from error


def tracer() -> Any:
    """Return what makes spans."""
    return _library()[0].get_tracer("shoal")


def submit_context(what: str) -> dict[str, Any]:
    """Return the annotation with the context of a new span, which is over when this returns.

    Empty where tracing is off.

    Parameters
    ----------
    what : str
        The thing that is submitted: a part of the span's name.
    """
    if not is_on():
        return {}
    trace, propagate = _library()
    carrier: dict[str, str] = {}
    with tracer().start_as_current_span(f"submit {what}", kind=trace.SpanKind.PRODUCER):
        propagate.inject(carrier)
    return {TRACE: carrier} if carrier else {}


def context_of(annotations: dict[str, Any] | None) -> Any:
    """Return the context that came with a task, None where there is none."""
    carrier = (annotations or {}).get(TRACE)
    return _library()[1].extract(carrier) if isinstance(carrier, dict) else None


def failed(text: str) -> Any:
    """Return the status of a span of what failed."""
    trace = _library()[0]
    return trace.Status(trace.StatusCode.ERROR, text)
