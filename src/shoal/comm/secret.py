"""The cluster's secret: where it comes from. It is never sent anywhere.

In this order: given explicitly, configuration ``shoal.secret``, environment ``SHOAL_SECRET``
(dask's configuration reads only ``DASK_*``), and the user's own file, made at first use and
readable by the user alone. So one user's processes find each other with no set-up, and nobody else
gets in.
"""

from __future__ import annotations

import os
import secrets
import stat
import sys
import tempfile
from pathlib import Path

from shoal import config

__all__ = ["cluster_secret", "secret_file"]


def secret_file() -> Path:
    """Return the path of the user's secret file."""
    base = os.environ.get("XDG_CONFIG_HOME")
    folder = Path(base) if base else Path.home() / ".config"
    return folder / "shoal" / "secret"


def cluster_secret(given: str | None = None) -> bytes:
    """Return the secret that peers of this process must know.

    Parameters
    ----------
    given : str, optional
        A secret that comes with an address: from a `Security` or a scheduler file.

    Raises
    ------
    PermissionError
        When other users may read the secret file.
    """
    text = given or config.get_optional_str("shoal.secret") or os.environ.get("SHOAL_SECRET")
    return text.encode() if text else _from_file(secret_file())


def _from_file(path: Path) -> bytes:
    for _ in range(2):
        try:
            _check_private(path)
            text = path.read_text().strip()
        except FileNotFoundError:
            _create(path)
            continue
        if not text:
            raise ValueError(f"the secret file {path} is empty; remove it, and it is made anew")
        return text.encode()
    raise FileNotFoundError(f"the secret file {path} vanished while it was read")


def _check_private(path: Path) -> None:
    mode = path.stat().st_mode
    if sys.platform != "win32" and stat.S_IMODE(mode) & 0o077:
        raise PermissionError(
            f"the secret file {path} may be read by others (mode {stat.S_IMODE(mode):04o}); "
            f"run 'chmod 600 {path}', or remove it, and it is made anew"
        )


def _create(path: Path) -> None:
    """Make the file, once, however many processes try at the same time.

    It is written under another name and linked to its own, which only one process can do, on
    network file systems too; so nobody ever reads half a secret.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".secret-")  # mode 0600
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32) + "\n")
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
