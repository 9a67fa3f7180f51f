"""In which order the tasks of a graph should run, so that few results are stored at a time.

Tasks are numbers here. Three times as fast as `dask.order`, which is still asked where this walk
would store many results at once; `docs/decisions/0013` has the comparison.

The walk makes one thing after the other, and all that is missing for it before it, largest part
first. A task that became possible meanwhile is run at once where that sets free as much as it
stores: each input counts as a part, its results being shared by those of its users that did not run
yet. When a thing is made, the next one is what lacks least among the users of what was made.

A grid of steps, each of which needs some of the one before, is best left as it was made, step by
step: that stores one or two steps, and all of a step can run at once, where the walk goes along
diagonals whose tasks wait for each other.
"""

from __future__ import annotations

from collections import deque
from math import inf

from dask._task_spec import Task
from dask.order import order as dask_order

__all__ = ["find_cycle", "order", "peak"]

_ENOUGH = 0.999  # of a result set free, by one that is stored
_WIDE = 64  # inputs; with more, what a task sets free is not worked out before they are all there
_FEW = 16  # results stored at a time that are no reason to look for another order
_PART = 16  # nor is this part of all tasks


def order(inputs: list[list[int]]) -> list[int] | None:
    """Return the numbers of the tasks in the order to run them; `None` if there is a cycle.

    Parameters
    ----------
    inputs : list of list of int
        Which tasks each task needs, ascending. Among equals, lower numbers come first.
    """
    walk = _Walk(inputs)
    if not walk.measure():
        return None
    as_made = list(range(len(inputs)))
    widest = max(map(len, inputs), default=0)  # so many are stored together in any order
    few = max(_FEW, len(inputs) // _PART, widest + widest // 8)
    steps = widest > 1 and all(not needed or needed[-1] < i for i, needed in enumerate(inputs))
    stored = peak(inputs, as_made, few) if steps else few
    found = walk.run(stored if stored < few else inf)
    if found is None:
        return as_made
    if walk.peak <= few:
        return found
    other = _as_dask(inputs)
    found = other if peak(inputs, other) < walk.peak else found
    return as_made if steps and peak(inputs, as_made) < peak(inputs, found) else found


def peak(inputs: list[list[int]], order: list[int], enough: float = inf) -> int:
    """Return how many results that others need are stored at a time, if one task runs at a time.

    Where it is `enough` or more, any number that is.
    """
    users = [0] * len(inputs)
    for needed in inputs:
        for j in needed:
            users[j] += 1
    stored = most = 0
    for i in order:
        stored += users[i] > 0
        if stored > most:
            most = stored
            if most >= enough:
                break
        for j in inputs[i]:
            users[j] -= 1
            stored -= not users[j]
    return most


def find_cycle(inputs: list[list[int]]) -> list[int]:
    """Return tasks each of which needs the next, and the last the first; there must be some."""
    left = [len(needed) for needed in inputs]
    users: list[list[int]] = [[] for _ in inputs]
    for i, needed in enumerate(inputs):
        for j in needed:
            users[j].append(i)
    stack = [i for i, count in enumerate(left) if not count]
    while stack:
        for u in users[stack.pop()]:
            left[u] -= 1
            if not left[u]:
                stack.append(u)
    seen: dict[int, None] = {}
    i = next(i for i, count in enumerate(left) if count)
    while i not in seen:
        seen[i] = None
        i = next(j for j in inputs[i] if left[j])
    path = list(seen)
    return path[path.index(i) :]


class _Walk:
    def __init__(self, inputs: list[list[int]]) -> None:
        count = len(inputs)
        self.inputs = inputs
        self.users: list[list[int]] = [[] for _ in range(count)]
        users = self.users
        for i, needed in enumerate(inputs):
            for j in needed:
                users[j].append(i)
        # Tasks needed for it; those needed twice are counted twice, so it may be infinite.
        self.total = [1.0] * count
        self.missing = list(map(len, inputs))  # inputs that did not run
        self.locked = self.missing.copy()  # of these, those that cannot run yet
        self.left = list(map(len, users))  # users that did not run
        self.done = [False] * count
        self.peak = 0
        # Touched tasks, by the number of missing inputs.
        self._touched: list[deque[int]] = [deque() for _ in range(_WIDE + 1)]  # the last: or more
        self._ends: list[int] = []

    def measure(self) -> bool:
        """Find out how much work each task is; return whether there is no cycle."""
        total, users, missing = self.total, self.users, self.missing.copy()
        stack = [i for i, count in enumerate(missing) if not count]
        met = 0
        while stack:
            i = stack.pop()
            met += 1
            size = total[i]
            for u in users[i]:
                total[u] += size
                missing[u] -= 1
                if not missing[u]:
                    stack.append(u)
        self._ends = [i for i, some in enumerate(users) if not some]
        self._ends.sort(key=lambda i: (total[i], -i))
        return met == len(total)

    def run(self, most: float = inf) -> list[int] | None:
        """Return the order; `None` if it stores more results at a time than `most`."""
        inputs, users, missing, left = self.inputs, self.users, self.missing, self.left
        done, locked, total, touched = self.done, self.locked, self.total, self._touched
        found: list[int] = []
        stored = highest = 0
        while len(found) < len(inputs):
            stack = [self._next()]
            while stack:
                i = stack[-1]
                if done[i]:
                    stack.pop()
                    continue
                if missing[i]:
                    lacks = [j for j in inputs[i] if not done[j]]
                    if len(lacks) > 1:
                        lacks.reverse()
                        lacks.sort(key=total.__getitem__)
                    stack += lacks
                    continue
                stack.pop()
                done[i] = True
                found.append(i)
                if users[i]:
                    stored += 1
                    if stored > highest:
                        highest = stored
                        if highest > most:
                            return None
                for j in inputs[i]:
                    left[j] -= 1
                    if left[j] == 1:
                        self._free(j, stack)
                    elif not left[j]:
                        stored -= 1
                # A task that could run before was taken off the locks of its users then.
                unlocks = not (locked[i] < 0)
                now: list[int] = []
                for u in users[i]:
                    missing[u] -= 1
                    if unlocks:
                        locked[u] -= 1
                    if missing[u]:
                        if not locked[u] and self._share(u) >= _ENOUGH:
                            now.append(u)
                        touched[min(missing[u], _WIDE)].append(u)
                    elif self._share(u) >= _ENOUGH:
                        now.append(u)
                    else:
                        touched[0].append(u)
                        if len(inputs[u]) == 1:
                            self._unlock(u, now)
                if len(now) > 1:
                    now.sort(key=lambda u: (-missing[u], -u))
                stack += now
        self.peak = highest
        return found

    def _next(self) -> int:
        """Return what to make next."""
        done, missing, users = self.done, self.missing, self.users
        for count, some in enumerate(self._touched):
            while some:
                i = some[0]
                if done[i] or min(missing[i], _WIDE) != count:
                    some.popleft()
                    continue
                while not missing[i] and users[i]:
                    i = next(u for u in users[i] if not done[u])
                return i
        while done[self._ends[-1]]:
            self._ends.pop()
        return self._ends.pop()

    def _free(self, i: int, stack: list[int]) -> None:
        """One task is left that needs it: run that, if it can run."""
        done = self.done
        for u in self.users[i]:
            if not done[u]:
                if not self.missing[u]:
                    stack.append(u)
                return

    def _unlock(self, i: int, now: list[int]) -> None:
        """A part of one result may be taken at any time: what needs such parts may be possible."""
        self.locked[i] = -1
        for u in self.users[i]:
            self.locked[u] -= 1
            if not self.locked[u] and self.missing[u] and self._share(u) >= _ENOUGH:
                now.append(u)

    def _share(self, i: int) -> float:
        """Return how much is set free if it runs, after those of its inputs that can run."""
        if len(self.inputs[i]) > _WIDE and self.missing[i]:
            return 0.0
        share = 0.0
        for j in self.inputs[i]:
            if self.done[j]:
                share += 1 / self.left[j]
            else:
                share += 1 / self.left[self.inputs[j][0]] / len(self.users[j])
        return share


class _Stub(Task):
    """A task reduced to the attributes that `dask.order` reads."""

    __slots__ = ()

    def __init__(self, needed: list[int]) -> None:
        self._dependencies = frozenset(needed)


def _as_dask(inputs: list[list[int]]) -> list[int]:
    # It compares texts of keys: those of numbers with equally many digits are in their order.
    first = 10 ** len(str(len(inputs)))
    stubs = {first + i: _Stub([first + j for j in needed]) for i, needed in enumerate(inputs)}
    places = dask_order(stubs)
    return [key - first for key in sorted(places, key=places.__getitem__)]
