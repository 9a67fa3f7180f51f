"""The dashboard's page with a recording inside: one file that opens without a network.

The page is the one that a scheduler serves (`shoal.dashboard`); this puts its script, its style and
what was recorded into one file, and tells the browser to run nothing else.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Any

import msgspec

from shoal.diagnostics.page import Page

__all__ = ["RecordedPage"]

_PACKAGE = "shoal.dashboard"
_encode = msgspec.msgpack.Encoder(enc_hook=str).encode


class RecordedPage(Page):
    """A page that shows what was recorded, as the dashboard shows what happens.

    Parameters
    ----------
    title : str
        Its heading.
    pages : sequence of str
        The pages of the dashboard on which there is something to see, the first one first.
    frames : sequence of dict
        The frames of `shoal.dashboard.collector`: the first one all, the others what changed.
    answers : mapping
        The answers to the questions that these pages ask.
    """

    def __init__(
        self,
        title: str,
        pages: Sequence[str],
        frames: Sequence[Mapping[str, Any]],
        answers: Mapping[str, Any],
    ) -> None:
        recording = {"title": title, "pages": pages, "frames": frames, "answers": answers}
        packed = base64.b64encode(gzip.compress(_encode(recording), compresslevel=6)).decode()
        # Browsers run no script of a type unknown to them, and base64 ends no element.
        super().__init__(
            title,
            '<div id="dashboard" data-page="" data-single="false" data-actions="false"></div>'
            f'<script id="recording" type="application/octet-stream">{packed}</script>',
        )

    def render(self, nonce: str = "", head: str = "") -> str:
        """Return the whole file."""
        script, style = _content("dashboard.js"), _content("dashboard-style.css")
        policy = (
            f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; "
            "img-src data:; base-uri 'none'; form-action 'none'"
        )
        return (
            f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">{head}'
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{html.escape(self.title)}</title><style>{style}</style></head>\n"
            f"<body>{self.body}\n<script>{script}</script></body></html>\n"
        )


@lru_cache(maxsize=2)
def _content(name: str) -> str:
    return (files(_PACKAGE) / "static" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """Return how a policy names what may be run."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
