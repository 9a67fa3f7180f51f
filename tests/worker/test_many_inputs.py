"""One request for many results: what it costs grows with their number, not with its square."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from helpers import run

from shoal.worker.operations import OPERATIONS


class Key(str):
    """A text that counts how often it is compared."""

    compared = 0

    def __eq__(self, other: object) -> bool:
        Key.compared += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def test_keys_are_not_searched_in_lists() -> None:
    keys = [Key(f"key-{i}") for i in range(2000)]

    async def give(comm: Any, held: list[str], host: Any) -> dict[str, Any]:
        return {"data": dict.fromkeys(held), "shared": {}, "missing": []}

    worker = SimpleNamespace(
        machine=SimpleNamespace(holds=lambda key, life: key != "key-7"),
        exchange=SimpleNamespace(give=give),
    )
    Key.compared = 0
    answer = run(OPERATIONS["get_data"](worker, None, keys, lives={}))
    assert answer["missing"] == ["key-7"] and len(answer["data"]) == 1999
    assert Key.compared < 10 * len(keys)
