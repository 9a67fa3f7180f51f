"""The simulated store: the least recently used goes to the disk; a failing disk is found out."""

from __future__ import annotations

from shoal.simulation.store import Store


def test_what_is_used_least_goes_to_disk_and_comes_back() -> None:
    lost: list[str] = []
    store = Store(lambda key: key == "actor", lost.extend)
    for key in ("actor", "a", "b", "c"):
        store.put(key, key.encode(), 10)
    assert store.get("a") == b"a"
    store.evict(15)
    assert list(store.disk) == ["b", "c"] and store.memory_bytes == 10
    assert store.get("b") == b"b"
    assert store.memory_bytes == 20 and "b" in store.memory

    store.unreadable["c"] = None
    assert store.get("c") is None
    assert lost == ["c"] and sorted(store) == ["a", "actor", "b"]
    assert store.get("never there") is None
    store.drop([*store, "never there"])
    assert store.memory_bytes == 0 and not len(store)
