"""The cluster's secret: where it comes from, and which user may read it. It is never sent.

In this order: given explicitly, configuration ``shoal.secret``, environment ``SHOAL_SECRET``
(dask's configuration reads only ``DASK_*``), and the user's own file, made at first use and
readable by the user alone. So one user's processes find each other with no set-up, and nobody else
gets in. Several secrets stand for a rotation: the first is this process's, the others are accepted.

The keys that are made of a secret are in `keys`.
"""

from __future__ import annotations

import math
import os
import secrets
import stat
import string
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from shoal import config

__all__ = [
    "ROLE_PREFIX",
    "VARIABLE",
    "Secret",
    "check_strength",
    "cluster_secret",
    "explicit_secret",
    "hide_environment_secret",
    "new_secret",
    "secret_file",
    "write_secret_file",
]

VARIABLE: Final = "SHOAL_SECRET"
# Of what `shoal secret export` prints: for one role only. See `keys`.
ROLE_PREFIX: Final = "shoal-role-"

_BITS = 128
_DIFFERENT = 8  # characters

# The secret that was taken out of the environment: neither tasks nor their processes see it there.
_taken: str | None = None


class Secret:
    """Secrets of one cluster, the new one first; its text shows nothing of them.

    Parameters
    ----------
    texts : iterable of str
        At least one.

    Raises
    ------
    ValueError
        When one of them could be guessed.
    """

    __slots__ = ("texts",)

    def __init__(self, texts: Iterable[str]) -> None:
        self.texts = tuple(dict.fromkeys(texts))
        if not self.texts:
            raise ValueError(f"the cluster's secret is empty; {_HOW}")
        for text in self.texts:
            check_strength(text)

    def reveal(self) -> str:
        """Return the secrets as one text, for files and variables that only their user reads."""
        return " ".join(self.texts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self.texts == other.texts

    def __hash__(self) -> int:
        return hash(self.texts)

    def __repr__(self) -> str:
        return "<Secret, not shown>"


_HOW = "make one with 'shoal secret new'"


def new_secret() -> str:
    """Return a new secret of 256 bits.

    Examples
    --------
    >>> len(new_secret())
    64
    """
    return secrets.token_hex(32)


def check_strength(text: str) -> None:
    """Refuse a secret that could be guessed from a recorded connection.

    The strength is taken by its length, as if its characters had been drawn by lot.

    Raises
    ------
    ValueError
        When it has less than 128 bits.
    """
    if text.startswith(ROLE_PREFIX):
        return  # `keys` looks at those
    bits = len(text) * math.log2(_alphabet(text)) if text else 0
    if bits < _BITS or len(set(text)) < _DIFFERENT:
        raise ValueError(
            f"the cluster's secret is too weak ({len(text)} characters; at least {_BITS} bits are "
            f"asked for, such as 32 hexadecimal digits by lot): {_HOW}"
        )


def _alphabet(text: str) -> int:
    used = set(text)
    for known in (string.digits, string.hexdigits[:16], string.ascii_letters + string.digits):
        if used <= set(known):
            return len(known)
    return 94


def secret_file() -> Path:
    """Return the path of the user's secret file: ``shoal.secret-file``, or the usual one."""
    configured = config.get_optional_str("shoal.secret-file")
    if configured:
        return Path(configured).expanduser()
    base = os.environ.get("XDG_CONFIG_HOME")
    folder = Path(base) if base else Path.home() / ".config"
    return folder / "shoal" / "secret"


def cluster_secret(given: Secret | str | None = None) -> Secret:
    """Return the secret that peers of this process must know.

    Parameters
    ----------
    given : Secret or str, optional
        A secret that comes with an address: from a `Security` or a scheduler file. Several are
        separated by blanks, the new one first.

    Raises
    ------
    PermissionError
        When others may read or change the secret file.
    ValueError
        When it is too weak.
    """
    if isinstance(given, Secret):
        return given
    if given is not None:
        return Secret(given.split())
    configured = config.get("shoal.secret")
    if configured:
        return Secret(configured.split() if isinstance(configured, str) else map(str, configured))
    text = os.environ.get(VARIABLE) or _taken
    return Secret(text.split()) if text else Secret(_from_file(secret_file()))


def hide_environment_secret(given: str | None = None) -> None:
    """Take the secret out of this process's environment and keep it aside.

    For processes that run tasks: what a task prints or starts does not get it.

    Parameters
    ----------
    given : str, optional
        A secret that came in another way, to be kept in its place.
    """
    global _taken
    text = os.environ.pop(VARIABLE, None)
    _taken = given or text or _taken


def explicit_secret() -> str | None:
    """Return the secret that configuration or environment gave this process, to be handed to the
    processes that it starts; None where each finds it in the user's file.
    """
    if not config.get("shoal.secret") and not os.environ.get(VARIABLE) and not _taken:
        return None
    return cluster_secret().reveal()


def _from_file(path: Path) -> list[str]:
    for _ in range(2):
        try:
            _check_private(path)
            text = path.read_text()
        except (FileNotFoundError, NotADirectoryError):
            _create(path)
            continue
        if not text.strip():
            raise ValueError(f"the secret file {path} is empty; remove it, and it is made anew")
        return text.split()
    raise FileNotFoundError(f"the secret file {path} vanished while it was read")


def _check_private(path: Path) -> None:
    """Refuse a file that others can read, or could have put there."""
    if sys.platform == "win32":
        return
    found = path.stat()
    mode = stat.S_IMODE(found.st_mode)
    if found.st_uid != os.getuid():
        raise PermissionError(
            f"the secret file {path} belongs to another user (uid {found.st_uid}); move it away, "
            "and one of your own is made"
        )
    if mode & 0o077:
        raise PermissionError(
            f"the secret file {path} may be read by others (mode {mode:04o}); "
            f"run 'chmod 600 {path}', or remove it, and it is made anew"
        )
    folder = path.parent.stat()
    if folder.st_uid not in (os.getuid(), 0):
        raise PermissionError(
            f"the folder {path.parent} of the secret file belongs to another user "
            f"(uid {folder.st_uid}), who could change it"
        )
    mode = stat.S_IMODE(folder.st_mode)
    if mode & 0o022 and not mode & stat.S_ISVTX:
        raise PermissionError(
            f"others may change the folder {path.parent} of the secret file (mode {mode:04o}); "
            f"run 'chmod go-w {path.parent}'"
        )


def write_secret_file(path: Path, texts: Iterable[str]) -> None:
    """Put secrets in the place of what the file says, at once; only its user can read it."""
    temporary = _written_aside(path, texts)
    try:
        os.replace(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)


def _written_aside(path: Path, texts: Iterable[str]) -> str:
    for folder in (*reversed(path.parent.parents), path.parent):
        if not folder.exists():
            folder.mkdir(mode=0o700, exist_ok=True)  # ~/.config as well, where it is new
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".secret-")  # mode 0600
    with os.fdopen(descriptor, "w") as file:
        file.write("\n".join(texts) + "\n")
    return temporary


def _create(path: Path) -> None:
    """Make the file, once, however many processes try at the same time.

    It is written under another name and linked to its own, which only one process can do, on
    network file systems too; so nobody ever reads half a secret.
    """
    try:
        temporary = _written_aside(path, [new_secret()])
    except OSError as error:
        raise PermissionError(
            f"cannot make the secret file {path}: {error.strerror or error}; set {VARIABLE} to the "
            "same secret for all processes of the cluster ('shoal secret new' prints one), or "
            "'shoal.secret-file' to a path that can be written"
        ) from error
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass
    except OSError:  # no hard links here
        if not path.exists():
            os.replace(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)
