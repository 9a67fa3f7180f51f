"""Numbers as Prometheus reads them: the text format, version 0.0.4."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

__all__ = ["CONTENT_TYPE", "Families", "Labelled"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Labelled = Iterable[tuple[Mapping[str, str], float]]


class Families:
    """Families of numbers, in the order in which they are added.

    Parameters
    ----------
    namespace : str
        The prefix of all names.

    Examples
    --------
    >>> families = Families("dask_scheduler")
    >>> families.gauge("clients", "Number of clients", 2)
    >>> print(families.text(), end="")
    # HELP dask_scheduler_clients Number of clients
    # TYPE dask_scheduler_clients gauge
    dask_scheduler_clients 2.0
    """

    def __init__(self, namespace: str = "") -> None:
        self._start = f"{namespace}_" if namespace else ""
        self._lines: list[str] = []

    def gauge(self, name: str, text: str, value: float | Labelled) -> None:
        """Add one that goes up and down.

        Parameters
        ----------
        name, text : str
            Its name, without the namespace, and what it means.
        value : float, or iterable of (dict, float)
            The number; or numbers with their labels.
        """
        self._add(self._start + name, text, "gauge", value)

    def counter(self, name: str, text: str, value: float | Labelled) -> None:
        """Add one that only goes up; its name ends with ``_total``."""
        self._add(f"{self._start}{name}_total", text, "counter", value)

    def _add(self, name: str, text: str, kind: str, value: float | Labelled) -> None:
        told = text.replace("\\", r"\\").replace("\n", r"\n")
        self._lines += [f"# HELP {name} {told}", f"# TYPE {name} {kind}"]
        if isinstance(value, (int, float)):
            self._lines.append(f"{name} {float(value)!r}")
            return
        for labels, number in value:
            shown = ",".join(f'{label}="{_escaped(of)}"' for label, of in labels.items())
            self._lines.append(f"{name}{{{shown}}} {float(number)!r}")

    def text(self) -> str:
        """Return all of them."""
        return "\n".join(self._lines) + "\n"


def _escaped(value: str) -> str:
    text = str(value).encode("utf-8", "replace").decode()  # keys may hold what is no text
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
