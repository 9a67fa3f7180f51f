"""Configuration: shoal's defaults, and getters that check what a user wrote.

Importing this module merges `shoal.yaml` into `dask.config` below what the user's files and
environment say. Values live in `dask.config` alone; nothing is cached here, so `dask.config.set`
works at any time. Shells read their settings once, when they are made, and hand plain numbers to
the cores, which must not import this module.

Every getter takes the key and, optionally, the value `given` by a caller: an argument of a public
class that is not `None` wins over the configuration and is checked by the same rule.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from importlib.resources import files
from typing import Any, TypeVar

import dask.config
import yaml
from dask.utils import parse_bytes, parse_timedelta

__all__ = [
    "get",
    "get_bool",
    "get_bytes",
    "get_dict",
    "get_float",
    "get_fraction",
    "get_int",
    "get_list",
    "get_logging",
    "get_optional_bytes",
    "get_optional_seconds",
    "get_optional_str",
    "get_seconds",
    "get_str",
    "unheeded",
]

T = TypeVar("T")

_DURATION = "a duration such as '30s', '500ms' or 30"
_SIZE = "a size such as '64 MiB', '1 kB' or 1000"
_WORDS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


_UNHEEDED = {
    "distributed.scheduler.active-memory-manager.measure": "workers are compared by their results",
    "distributed.scheduler.allowed-imports": "a scheduler imports nothing that a peer names",
    "distributed.scheduler.dashboard.bokeh-application": "the pages are not made by Bokeh",
    "distributed.scheduler.dashboard.status.task-stream-length": "the page shows what fits",
    "distributed.scheduler.events-cleanup-delay": "each topic keeps its last events",
    "distributed.scheduler.rootish-taskgroup": "no kind of task is placed by a rule of its own",
    "distributed.scheduler.rootish-taskgroup-dependencies": "the same",
    "distributed.scheduler.work-stealing-interval": "shoal looks whenever a worker is idle",
    "distributed.scheduler.worker-saturation": "how much a worker holds is 'shoal.pipeline'",
    "distributed.worker.connections.outgoing": "values in flight are limited by memory.transfer",
    "distributed.worker.memory.spill-compression": "what goes to disk is written as it is",
    "distributed.worker.multiprocessing-method": "shoal always starts fresh interpreters",
    "distributed.worker.profile.low-level": "frames of C are not sampled",
    "distributed.worker.use-file-locking": "folders have names of their own, and need no locks",
    "distributed.client.scheduler-info-interval": "a client is told of workers",
    "distributed.deploy.cluster-repr-interval": "a cluster is drawn anew when it changes",
    "distributed.comm.recent-messages-log-length": "messages are not recorded",
    "distributed.comm.retry": "connections are tried again until timeouts.connect",
    "distributed.comm.shard": "buffers of any length travel as one frame",
    "distributed.comm.tcp.backend": "there is one, and it is shoal's own",
    "distributed.comm.ucx": "there is no transport of this name",
    "distributed.comm.websockets": "there is no transport of this name",
    "distributed.dashboard.export-tool": "the pages have no such button",
    "distributed.dashboard.graph-max-items": "the page of the graph draws groups",
    "distributed.diagnostics.nvml": "graphics cards are not looked at",
    "distributed.diagnostics.cudf": "graphics cards are not looked at",
    "distributed.diagnostics.erred-tasks": "failed tasks are known as long as they are wanted",
    "distributed.admin.pdb-on-err": "see Client.recreate_task_locally",
    "distributed.admin.system-monitor.gil.interval": "the thread that takes profiles measures it",
    "distributed.admin.system-monitor.host-cpu": "see the monitors of the host",
    "distributed.p2p": "what is shuffled is data as any other: it is spilled and sent as such",
    "distributed.rmm": "graphics cards are not looked at",
}
_told: set[str] = set()


def unheeded() -> list[str]:
    """Return a sentence for each setting that is another than the default and that nothing heeds.

    Each is told once in a process.
    """
    found = []
    for key, value in _changes("distributed", _DEFAULTS, dask.config.config):
        if key not in _told and (why := _why_not(key)):
            _told.add(key)
            found.append(f"the setting {key!r} ({value!r}) is not heeded: {why}")
    return found


def _changes(
    prefix: str, defaults: Mapping[str, Any], current: Mapping[str, Any]
) -> Iterator[tuple[str, Any]]:
    """Yield the settings below `prefix` that are not as by default."""
    name = prefix.rpartition(".")[2]
    default, value = defaults.get(name), current.get(name, current.get(name.replace("-", "_")))
    if isinstance(default, Mapping) and isinstance(value, Mapping):
        for each in value:
            yield from _changes(f"{prefix}.{each.replace('_', '-')}", default, value)
    elif value is not default and value != default:
        yield prefix, value


def _why_not(key: str) -> str | None:
    while key:
        if key in _UNHEEDED:
            return _UNHEEDED[key]
        key = key.rpartition(".")[0]
    return None


def get(key: str, given: Any = None) -> Any:
    """Return a configuration value as it is, or `given` when that is not `None`.

    Parameters
    ----------
    key : str
        Dotted name, ``"distributed.scheduler.worker-ttl"``. Hyphen and underscore are the same.
    given : object, optional
        The caller's argument.

    Raises
    ------
    KeyError
        When neither the user nor `shoal.yaml` has the key.
    """
    if given is not None:
        return given
    try:
        return dask.config.get(key)
    except KeyError:
        # An incumbent that is imported after shoal takes keys out that it has renamed.
        return dask.config.get(key, config=_DEFAULTS)


def get_str(key: str, given: Any = None) -> str:
    """Return a text."""
    return _parse(key, given, _to_str, "a text")


def get_optional_str(key: str, given: Any = None) -> str | None:
    """Return a text, or `None` when it is not set."""
    return _parse_optional(key, given, _to_str, "a text")


def get_bool(key: str, given: Any = None) -> bool:
    """Return a truth value; the words true/false, yes/no and on/off are understood."""
    return _parse(key, given, _to_bool, "true or false")


def get_int(key: str, given: Any = None, *, minimum: int | None = None) -> int:
    """Return a whole number, at least `minimum` when that is given."""
    wanted = "a whole number" if minimum is None else f"a whole number of at least {minimum}"

    def convert(value: Any) -> int:
        number = float(_no_bool(value))
        if number != int(number) or (minimum is not None and number < minimum):
            raise ValueError
        return int(value) if isinstance(value, (int, str)) else int(number)

    return _parse(key, given, convert, wanted)


def get_float(key: str, given: Any = None) -> float:
    """Return a number; ``inf`` is one."""
    return _parse(key, given, _to_float, "a number")


def get_fraction(key: str, given: Any = None) -> float | None:
    """Return a fraction between 0 and 1, or `None` when it is switched off (false or null)."""

    def convert(value: Any) -> float:
        number = _to_float(value)
        if not 0 <= number <= 1:
            raise ValueError
        return number

    return _parse_optional(key, given, convert, "a fraction between 0 and 1")


def get_seconds(key: str, given: Any = None) -> float:
    """Return a duration in seconds."""
    return _parse(key, given, _to_seconds, _DURATION)


def get_optional_seconds(key: str, given: Any = None) -> float | None:
    """Return a duration in seconds, or `None` when it is switched off (false or null)."""
    return _parse_optional(key, given, _to_seconds, _DURATION)


def parse_optional_seconds(name: str, value: Any) -> float | None:
    """Return the duration in seconds of an argument that no configuration stands for."""
    if value is None or value is False:
        return None
    try:
        return _to_seconds(value)
    except (TypeError, ValueError, LookupError, ArithmeticError, AttributeError):
        raise ValueError(f"{name}={value!r} is not {_DURATION}") from None


def get_bytes(key: str, given: Any = None) -> int:
    """Return a size in bytes."""
    return _parse(key, given, _to_bytes, _SIZE)


def get_optional_bytes(key: str, given: Any = None) -> int | None:
    """Return a size in bytes, or `None` when it is switched off (false or null)."""
    return _parse_optional(key, given, _to_bytes, _SIZE)


def get_list(key: str, given: Any = None) -> list[Any]:
    """Return a list. A single text stands for a list of one, null for an empty one."""

    def convert(value: Any) -> list[Any]:
        if value is None:
            return []
        if isinstance(value, str):
            return [value]
        if isinstance(value, (list, tuple)):
            return list(value)
        raise TypeError

    return _parse(key, given, convert, "a list")


def get_dict(key: str, given: Any = None) -> dict[str, Any]:
    """Return a mapping. Null stands for an empty one."""

    def convert(value: Any) -> dict[str, Any]:
        if value is None:
            return {}
        if isinstance(value, Mapping):
            return dict(value)
        raise TypeError

    return _parse(key, given, convert, "a mapping")


def get_logging() -> tuple[dict[str, Any], str, str | None]:
    """Return what users said of logging: the settings, the format of a line, and a file.

    Settings are levels per logger, or a mapping for `logging.config.dictConfig`. dask's
    documentation has both at the top, ``logging``, and its older files below ``distributed``.
    """
    found: dict[str, Any] = {}
    for key in ("logging", "distributed.logging"):
        if dask.config.get(key, None) is not None:
            said = get_dict(key)
            found = said if "version" in said or "version" in found else {**found, **said}
    keys = ("distributed.logging-file-config", "logging-file-config")
    files = [get_str(key) for key in keys if dask.config.get(key, None) is not None]
    return found, get_str("distributed.admin.log-format"), files[-1] if files else None


def _parse(key: str, given: Any, convert: Callable[[Any], T], wanted: str) -> T:
    """Convert the value of `key`, or say in one sentence what is wrong with it and where to mend
    it.
    """
    value = get(key, given)
    try:
        return convert(value)
    # The errors of dask's parsers for bad text: KeyError for a unit, IndexError for "", and so on.
    except (TypeError, ValueError, LookupError, ArithmeticError, AttributeError):
        pass
    if given is not None:
        raise ValueError(f"{value!r} is not {wanted} (the setting {key!r})")
    variable = "DASK_" + key.upper().replace("-", "_").replace(".", "__")
    raise ValueError(
        f"configuration {key!r} is {value!r}, which is not {wanted}; "
        f"set it with dask.config.set, in a file in ~/.config/dask, or as {variable}"
    )


def _parse_optional(key: str, given: Any, convert: Callable[[Any], T], wanted: str) -> T | None:
    """`_parse`, where null and false mean "switched off"."""
    value = get(key, given)
    if value is None or value is False:
        return None
    return _parse(key, given, convert, f"{wanted}, or false for none")


def _no_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise TypeError
    return value


def _to_str(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _to_bool(value: Any) -> bool:
    if isinstance(value, str):
        return _WORDS[value.strip().lower()]
    if value is True or value is False:
        return value
    if isinstance(value, int) and value in (0, 1):
        return bool(value)
    raise TypeError


def _to_float(value: Any) -> float:
    number = float(_no_bool(value))
    if math.isnan(number):
        raise ValueError
    return number


def _to_seconds(value: Any) -> float:
    seconds = parse_timedelta(_no_bool(value))
    if seconds is None or not 0 <= seconds < math.inf:
        raise ValueError
    return float(seconds)


def _to_bytes(value: Any) -> int:
    size = parse_bytes(_no_bool(value))
    if size < 0:
        raise ValueError
    return size


def _load_defaults() -> dict[str, Any]:
    # libyaml's loader is about ten times faster than the Python one, which would be felt at import.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    text = files("shoal").joinpath("shoal.yaml").read_text(encoding="utf-8")
    defaults: dict[str, Any] = yaml.load(text, Loader=loader)
    return defaults


_DEFAULTS = _load_defaults()
dask.config.update_defaults(_DEFAULTS)
