"""Pages of HTML that are whole in one file, with their style; they open without a network."""

from __future__ import annotations

import html
import os
import tempfile
from pathlib import Path

__all__ = ["Page"]

_STYLE = """
body { font: 13px system-ui, sans-serif; margin: 1em; color: #222; background: #fff; }
h1 { font-size: 1.2em; font-weight: 600; }
"""


class Page:
    """One page.

    Parameters
    ----------
    title : str
        Its heading.
    body : str
        HTML, with a script perhaps.
    """

    def __init__(self, title: str, body: str) -> None:
        self.title = title
        self.body = body

    @property
    def html(self) -> str:
        """The whole file."""
        return self.render()

    def render(self, nonce: str = "", head: str = "") -> str:
        """Return the whole file.

        Parameters
        ----------
        nonce : str
            By which a server tells its own styles and scripts from what found its way in.
        head : str
            HTML for its head.
        """
        title = html.escape(self.title)
        marked = f' nonce="{html.escape(nonce)}"' if nonce else ""
        return (
            f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">{head}'
            f"<title>{title}</title><style{marked}>{_STYLE}</style></head>\n"
            f"<body><h1>{title}</h1>\n{self.body}\n</body></html>\n"
        )

    def save(self, filename: str | os.PathLike[str]) -> str:
        """Write the file, whole or not at all; return its path."""
        target = Path(filename).absolute()
        descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=".page-")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(self.html)
            os.chmod(temporary, 0o644)
            os.replace(temporary, target)
        except BaseException:
            os.unlink(temporary)
            raise
        return str(target)

    def _repr_html_(self) -> str:
        # A frame of its own: neither styles nor scripts meet those of the notebook.
        return (
            f'<iframe srcdoc="{html.escape(self.html)}" style="width:100%;height:420px;border:0">'
            "</iframe>"
        )

    def __repr__(self) -> str:
        return f"<Page {self.title!r}, {len(self.html)} bytes of HTML>"
