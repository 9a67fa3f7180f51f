"""Getters of `shoal.config`: what they accept, and what they say of a bad value."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import dask.config
import pytest

from shoal import config

TTL = "distributed.scheduler.worker-ttl"


def test_defaults_are_below_what_the_user_set():
    assert config.get_seconds(TTL) == 300
    with dask.config.set({TTL: "7s"}):
        assert config.get_seconds(TTL) == 7
    assert config.get_seconds(TTL) == 300


def test_hyphens_and_underscores_are_the_same():
    with dask.config.set({"distributed.scheduler.worker_ttl": 8}):
        assert config.get_seconds(TTL) == 8


def test_a_given_argument_wins():
    with dask.config.set({TTL: "7s"}):
        assert config.get_seconds(TTL, "1 minute") == 60
        assert config.get(TTL, 5) == 5


@pytest.mark.parametrize(
    ("getter", "value", "expected"),
    [
        (config.get_seconds, "500ms", 0.5),
        (config.get_seconds, 3, 3.0),
        (config.get_optional_seconds, None, None),
        (config.get_optional_seconds, False, None),
        (config.get_optional_seconds, "2h", 7200.0),
        (config.get_bytes, "64 MiB", 64 * 2**20),
        (config.get_bytes, "1 kiB", 1024),
        (config.get_optional_bytes, False, None),
        (config.get_optional_bytes, 10, 10),
        (config.get_bool, True, True),
        (config.get_bool, "false", False),
        (config.get_bool, "Yes", True),
        (config.get_bool, 1, True),
        (config.get_int, "12", 12),
        (config.get_int, 3.0, 3),
        (config.get_int, 2**60 + 1, 2**60 + 1),
        (config.get_float, "inf", float("inf")),
        (config.get_fraction, 0.6, 0.6),
        (config.get_fraction, "0.6", 0.6),
        (config.get_fraction, False, None),
        (config.get_fraction, 0, 0.0),
        (config.get_str, "tcp", "tcp"),
        (config.get_optional_str, None, None),
        (config.get_list, None, []),
        (config.get_list, "a.py", ["a.py"]),
        (config.get_list, ("a", "b"), ["a", "b"]),
        (config.get_dict, None, {}),
        (config.get_dict, {"a": 1}, {"a": 1}),
    ],
)
def test_values(getter, value, expected):
    with dask.config.set({"shoal.test": value}):
        result = getter("shoal.test")
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    ("getter", "value"),
    [
        (config.get_seconds, "abc"),
        (config.get_seconds, ""),
        (config.get_seconds, "-5s"),
        (config.get_seconds, -5),
        (config.get_seconds, "5 parsecs"),
        (config.get_seconds, True),
        (config.get_seconds, None),
        (config.get_seconds, float("inf")),
        (config.get_seconds, [1]),
        (config.get_optional_seconds, "soon"),
        (config.get_bytes, "5 foos"),
        (config.get_bytes, -1),
        (config.get_bytes, True),
        (config.get_bytes, float("nan")),
        (config.get_bytes, None),
        (config.get_bool, "maybe"),
        (config.get_bool, 2),
        (config.get_bool, None),
        (config.get_int, 1.5),
        (config.get_int, True),
        (config.get_int, float("inf")),
        (config.get_int, "many"),
        (config.get_float, "nan"),
        (config.get_float, None),
        (config.get_fraction, 1.5),
        (config.get_fraction, True),
        (config.get_str, 5),
        (config.get_optional_str, 5),
        (config.get_list, 5),
        (config.get_dict, [1]),
    ],
)
def test_a_bad_value_is_named_with_its_key_and_how_to_set_it(getter, value):
    with dask.config.set({"shoal.a-test": value}), pytest.raises(ValueError) as info:
        getter("shoal.a-test")
    text = str(info.value)
    assert "'shoal.a-test'" in text
    assert repr(value) in text
    assert "DASK_SHOAL__A_TEST" in text


def test_a_bad_argument_is_named():
    with pytest.raises(ValueError, match=r"'soon' is not a duration .*worker-ttl"):
        config.get_seconds(TTL, "soon")


def test_minimum():
    key = "distributed.scheduler.allowed-failures"
    assert config.get_int(key, 0, minimum=0) == 0
    with pytest.raises(ValueError, match="at least 0"):
        config.get_int(key, -1, minimum=0)


def test_an_unknown_key_is_a_key_error():
    with pytest.raises(KeyError):
        config.get_seconds("shoal.no.such.key")


def leaves(tree, prefix=""):
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def test_a_default_that_another_package_took_out_is_there():
    """`distributed`, imported after shoal, renames keys of its own older releases."""
    with dask.config.set({"distributed.scheduler.transition-log-length": 5}):
        del dask.config.config["distributed"]["scheduler"]["transition-log-length"]
        assert config.get_int("distributed.scheduler.transition-log-length") == 100_000
    assert dask.config.get("distributed.scheduler.transition-log-length") == 100_000


def test_every_default_is_registered_and_parses():
    """A default that its own getter refuses would be found by the first user instead."""
    parsed = 0
    for key, value in leaves(config._load_defaults()):
        assert dask.config.get(key) == value
        if isinstance(value, str) and value[0].isdigit():
            parse = config.get_bytes if value[-1] in "Bb" else config.get_seconds
            assert parse(key) >= 0
            parsed += 1
    assert parsed > 20


def test_keys_others_rely_on_are_there():
    """Configuration keys that published projects read or set (shared/compat.md)."""
    for key in (
        "distributed.worker.memory.pause",
        "distributed.worker.memory.spill",
        "distributed.worker.memory.target",
        "distributed.worker.memory.terminate",
        "distributed.worker.memory.spill-compression",
        "distributed.worker.multiprocessing-method",
        "distributed.worker.daemon",
        "distributed.worker.local-directory",
        "distributed.worker.profile.enabled",
        "distributed.comm.timeouts.connect",
        "distributed.comm.timeouts.tcp",
        "distributed.comm.compression",
        "distributed.comm.default-scheme",
        "distributed.comm.require-encryption",
        "distributed.comm.tls.ca-file",
        "distributed.comm.tls.client.cert",
        "distributed.comm.tls.client.key",
        "distributed.comm.tls.scheduler.cert",
        "distributed.comm.tls.scheduler.key",
        "distributed.comm.tls.worker.cert",
        "distributed.comm.tls.worker.key",
        "distributed.scheduler.allowed-failures",
        "distributed.scheduler.allowed-imports",
        "distributed.scheduler.idle-timeout",
        "distributed.scheduler.no-workers-timeout",
        "distributed.scheduler.worker-ttl",
        "distributed.diagnostics.computations.nframes",
        "distributed.adaptive.target-duration",
        "distributed.admin.large-graph-warning-threshold",
        "distributed.admin.tick.limit",
        "distributed.dashboard.link",
        "distributed.deploy.lost-worker-timeout",
    ):
        config.get(key)


def test_settings_that_nothing_heeds_are_refused_in_words(monkeypatch):
    monkeypatch.setattr(config, "_told", set())
    assert config.unheeded() == []
    with dask.config.set(
        {
            "distributed.scheduler.worker-saturation": 2.0,
            "distributed.comm.ucx.tcp": True,
            "distributed.p2p.storage.disk": True,  # as by default
        }
    ):
        told = config.unheeded()
        assert len(told) == 2 and config.unheeded() == []
    assert "worker-saturation' (2.0) is not heeded: how much a worker holds" in told[0]
    assert "ucx.tcp' (True) is not heeded: there is no transport of this name" in told[1]


def settings_with_comments() -> dict[str, str]:
    """Return the comment of each setting in the file, by its whole name."""
    found: dict[str, str] = {}
    path: list[tuple[int, str]] = []
    for line in files("shoal").joinpath("shoal.yaml").read_text().splitlines():
        text, _, comment = line.partition("#")
        name, colon, value = text.strip().partition(":")
        if not colon or text.strip().startswith("-"):
            continue
        indent = len(text) - len(text.lstrip())
        path = [each for each in path if each[0] < indent]
        path.append((indent, name))
        if value.strip() or comment:
            found[".".join(each for _, each in path)] = comment.strip()
    return found


def is_read(name: str, texts: set[str]) -> bool:
    """Whether the source has the name, or one that it is put together with."""
    words = name.split(".")
    if words[:4] == ["distributed", "worker", "memory", words[-1]]:
        return name in texts or "distributed.worker.memory.{name}" in texts
    ways = [".".join(words[:end]) for end in range(3, len(words) + 1)]
    ways += [".".join(["distributed", "{kind}", *words[2:]]), ".".join(words[2:])]
    return not texts.isdisjoint(ways)


def test_each_setting_is_read_somewhere_or_refused_in_words():
    package = Path(config.__file__).parent
    sources = list(package.rglob("*.py"))
    texts = {
        text
        for path in sources
        for text in re.findall(r'["\'`]([\w.{}-]+)["\'`]', path.read_text(encoding="utf-8"))
        if path.name != "config.py" or text not in config._UNHEEDED
    }
    unread = []
    for name, comment in settings_with_comments().items():
        refused = config._why_not(name) is not None
        assert refused == comment.startswith("not heeded"), f"{name}: its comment says otherwise"
        if not refused and name.startswith("distributed.") and not is_read(name, texts):
            unread.append(name)
    assert unread == ["distributed.version"]
