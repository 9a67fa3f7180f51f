"""Notices that a host is about to be taken away: a signal, a file, or an answer over HTTP.

Clouds tell spot machines a little before they end; which way is configured (`shoal.preemption`). A
command that runs workers then does what it does at SIGTERM: data is handed over, and it ends.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import urllib.error
import urllib.request
from dataclasses import dataclass

from shoal import config

__all__ = ["Notice"]

logger = logging.getLogger("shoal.cli")

_ANSWER_WITHIN = 5.0
_MOST = 4096  # bytes of an answer that are looked at


@dataclass(frozen=True)
class Notice:
    """Where notices are to be expected.

    Attributes
    ----------
    file : str or None
        A path that is there when the notice has come.
    url : str or None
        An address that answers with a status of 200 then.
    headers : dict
        Of the request.
    words : str or None
        The answer has to contain these, too.
    interval : float
        Seconds between two looks.
    signals : tuple of signal
        Signals that are notices.
    """

    file: str | None
    url: str | None
    headers: dict[str, str]
    words: str | None
    interval: float
    signals: tuple[signal.Signals, ...]

    @classmethod
    def configured(cls) -> Notice:
        """Return what the configuration says.

        Raises
        ------
        ValueError
            When it names no signal, or an address of another kind.
        """
        prefix = "shoal.preemption"
        url = config.get_optional_str(f"{prefix}.url")
        if url is not None and not url.startswith(("http://", "https://")):
            raise ValueError(f"'{prefix}.url' is an address of http or https, not {url!r}")
        names = config.get_list(f"{prefix}.signals")
        try:
            signals = tuple(signal.Signals[str(name)] for name in names)
        except KeyError as error:
            raise ValueError(
                f"'{prefix}.signals' has names such as SIGUSR2, not {error.args[0]!r}"
            ) from None
        return cls(
            config.get_optional_str(f"{prefix}.file"),
            url,
            {str(k): str(v) for k, v in config.get_dict(f"{prefix}.headers").items()},
            config.get_optional_str(f"{prefix}.words"),
            config.get_seconds(f"{prefix}.interval"),
            signals,
        )

    async def wait(self) -> str:
        """Wait for the notice, for ever where none is to be expected; return what it is."""
        while self.file is not None or self.url is not None:
            if self.file is not None and os.path.exists(self.file):
                return f"the file {self.file} is there"
            if self.url is not None and await asyncio.to_thread(self._is_told):
                return f"{self.url} says so"
            await asyncio.sleep(self.interval)
        never: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        return await never

    def _is_told(self) -> bool:
        assert self.url is not None
        request = urllib.request.Request(self.url, headers=self.headers)
        try:
            with urllib.request.urlopen(request, timeout=_ANSWER_WITHIN) as answer:
                said: bytes = answer.read(_MOST)
                return answer.status == 200 and (self.words or "").encode() in said
        except urllib.error.HTTPError:
            return False  # mostly 404: there is none
        except OSError as error:
            logger.debug("no answer from %s: %s", self.url, error)
            return False
