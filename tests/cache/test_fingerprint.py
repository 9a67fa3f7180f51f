"""What a function is known by changes when what it does may change, and otherwise not."""

from __future__ import annotations

import functools
import subprocess
import sys
import threading
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shoal.cache.fingerprint import Unnamable, fingerprint, token_of


def made(source: str, name: str = "f", **values: Any) -> Callable[..., Any]:
    """A function of a program of its own."""
    space: dict[str, Any] = {"__name__": "__main__", **values}
    exec(source, space)
    function: Callable[..., Any] = space[name]
    return function


PLAIN = "def f(x):\n    return x + 1\n"


@pytest.mark.parametrize(
    "other",
    [
        "\n\n# moved\ndef f(x):\n    # said\n    return x + 1\n",
        "def f(x):\n\n\n    return (x\n            + 1)\n",
    ],
)
def test_lines_and_comments_do_not_count(other: str) -> None:
    assert fingerprint(made(PLAIN)) == fingerprint(made(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (PLAIN, "def f(x):\n    return x + 2\n"),
        (PLAIN, "def f(x):\n    return x - 1\n"),
        (PLAIN, "def f(x, y=1):\n    return x + y\n"),
        ("def f(x, y=1):\n    return x + y\n", "def f(x, y=2):\n    return x + y\n"),
        ("K = 1\ndef f(x):\n    return x + K\n", "K = 2\ndef f(x):\n    return x + K\n"),
        (
            "def g(x):\n    return x\ndef f(x):\n    return g(x)\n",
            "def g(x):\n    return -x\ndef f(x):\n    return g(x)\n",
        ),
        (
            "def f(x):\n    return [i + 1 for i in x]\n",
            "def f(x):\n    return [i + 2 for i in x]\n",
        ),
        (
            "class A:\n    def m(self):\n        return 1\ndef f(x):\n    return A().m()\n",
            "class A:\n    def m(self):\n        return 2\ndef f(x):\n    return A().m()\n",
        ),
        (
            "def m(k):\n    return lambda x: x + k\nf = m(1)\n",
            "def m(k):\n    return lambda x: x + k\nf = m(2)\n",
        ),
        ("def f(x):\n    return 'a'\n", "def f(x):\n    return b'a'\n"),
        ("def f(x):\n    return x in {1, 2}\n", "def f(x):\n    return x in {1, 3}\n"),
        ("def f(x):\n    return 1\n", "def f(x):\n    return True\n"),
    ],
)
def test_what_it_does_counts(one: str, other: str) -> None:
    assert fingerprint(made(one)) == fingerprint(made(one))
    assert fingerprint(made(one)) != fingerprint(made(other))


def test_values_that_it_refers_to_count() -> None:
    source = "def f(x):\n    return x + K\n"
    one, same, other = np.arange(3), np.arange(3), np.arange(4)
    assert fingerprint(made(source, K=one)) == fingerprint(made(source, K=same))
    assert fingerprint(made(source, K=one)) != fingerprint(made(source, K=other))


def test_partials_methods_and_builtins() -> None:
    assert fingerprint(functools.partial(int, base=2)) != fingerprint(functools.partial(int))
    assert fingerprint("a".join) != fingerprint("b".join)
    assert fingerprint(len) != fingerprint(sum)
    assert fingerprint(np.add.reduce) == fingerprint(np.add.reduce)


def test_functions_that_call_each_other_have_an_end() -> None:
    source = "def g(x):\n    return f(x)\ndef f(x):\n    return g(x)\n"
    assert fingerprint(made(source)) == fingerprint(made(source))


def test_of_installed_packages_name_and_version_count(monkeypatch: pytest.MonkeyPatch) -> None:
    from shoal.cache import fingerprint as module

    before = fingerprint(np.linspace)
    module._version.cache_clear()
    monkeypatch.setattr(np, "__version__", "0.0")
    assert fingerprint(np.linspace) != before
    monkeypatch.undo()
    module._version.cache_clear()


def test_a_module_of_the_program_counts_by_its_file(tmp_path: Path) -> None:
    file = tmp_path / "helper_of_test.py"
    module = types.ModuleType("helper_of_test")
    module.__file__ = str(file)
    source = "def f(x):\n    return helper.g(x)\n"
    found = set()
    for text in ("def g(x): return 1", "def g(x): return 2", "def g(x): return 1"):
        file.write_text(text)
        found.add(fingerprint(made(source, helper=module)))
    assert len(found) == 2


def test_what_has_no_lasting_name_is_refused() -> None:
    with pytest.raises(Unnamable):
        fingerprint(made("def f(x):\n    return lock\n", lock=threading.Lock()))
    with pytest.raises(Unnamable):
        token_of(threading.Lock())


@pytest.mark.process
def test_it_is_the_same_in_another_process() -> None:
    program = (
        "from shoal.cache.fingerprint import fingerprint\n"
        "K = {'a': (1, 2.5)}\n"
        "def f(x):\n    return x in {'p', 'q', 'r'} and K\n"
        "print(fingerprint(f))\n"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    ]
    assert runs[0] == runs[1] and runs[0].strip()
