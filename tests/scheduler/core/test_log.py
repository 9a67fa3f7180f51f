"""The log of transitions: as many changes as were asked for, whatever they are kept in."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from shoal.scheduler.core.log import Change, TransitionLog

one = st.tuples(st.sampled_from("abc"))
many = st.tuples(
    st.lists(st.sampled_from("abc"), min_size=1, max_size=5),
    st.lists(st.sampled_from(["waiting", "queued", "memory"]), min_size=2, max_size=4),
)


@given(st.lists(st.one_of(one, many)), st.integers(0, 12))
def test_the_last_changes_are_remembered(entries, limit) -> None:
    log = TransitionLog(limit)
    expected: list[Change] = []
    for i, entry in enumerate(entries):
        if len(entry) == 1:
            changes = [(entry[0], "queued", "processing", str(i), float(i))]
            log.append(changes[0])
        else:
            keys, path = entry
            changes = [
                (key, start, finish, str(i), float(i))
                for start, finish in pairwise(path)
                for key in keys
            ]
            log.append_many(keys, path, str(i), float(i))
        expected += changes
        assert len(log) == len(list(log))
        log.trim()
        kept = list(log)
        assert len(kept) == len(log) <= limit
        assert kept == expected[len(expected) - len(kept) :]
        if kept != expected:  # what was forgotten with the last of them came at once with it
            last = expected[len(expected) - len(kept) - 1]
            together = [change for change in expected if change[3] == last[3]]
            assert len(kept) + len(together) > limit
        expected = kept
