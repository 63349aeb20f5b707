"""How likely the next of a sequence is: counts of what followed what. Shared; no detector itself."""

from array import array
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

BEGIN, END, OTHER = 0, 1, 2
"""Symbols that no name has: the two ends, and any name that there is no room for."""
NAME_MAX = 40
_IDS = 64  # symbols, six bits each
_TASKS_MAX = 15  # four bits; 0 is the agent as a whole
_CELLS_MAX = 1_000  # pairs of context and symbol; 6 bytes each in a checkpoint
_COUNT_MAX = 65_535  # what two bytes hold; no cell counts more than the agent's calls
_DEEP_FROM = (
    20  # a context of two calls that was seen less often says less than its last call alone
)

Before = tuple[str, str]
"""The two calls before, oldest first; "" before the first."""


def brief(name: str) -> str:
    """A name of at most `NAME_MAX` characters; different names stay different.

    >>> brief("crm.find"), len(brief("x" * 200))
    ('crm.find', 40)
    """
    if len(name) <= NAME_MAX:
        return name
    return f"{name[: NAME_MAX - 9]}~{blake2b(name.encode(), digest_size=4).hexdigest()}"


class Backoff:
    """Probability of the next call given the two before it, by task type and by agent.

    Interpolated Witten-Bell: a context that was seen `n` times, with `t` different successors, gives
    each its share and leaves t / (n + t) to the shorter context; the shortest leaves it to all names
    alike, one unknown included. The agent's own chain of contexts is the last resort of each task
    type's, so a new task type begins with what the agent does elsewhere.

    At 1,000 cells all counts are halved: what was seen once goes, and with it names and task types that
    nothing is left of. That is the whole eviction, and also how old habits fade. Names beyond 61 count
    as one, task types beyond 15 as the agent.

    Notes
    -----
    `p` takes at most 6 look-ups, 1 to 2 µs; `learn` 1 µs a count. A checkpoint holds 6 bytes a cell
    and the names: at most 9 kB.

    Examples
    --------
    >>> counts = Backoff()
    >>> for _ in range(20):
    ...     counts.learn(["find", "update"])
    >>> round(counts.p(("", "find"), "update"), 3), round(counts.p(("", "find"), "delete"), 5)
    (0.998, 3e-05)

    References
    ----------
    [^1]: Witten, Bell (1991). The zero-frequency problem. IEEE Trans. Information Theory 37(4).
    """

    def __init__(self) -> None:
        self._cells: dict[int, int] = {}  # context and symbol -> how often
        self._tallies: dict[int, list[int]] = {}  # context -> n, t; follows from the cells
        self._names: dict[str, int] = {}
        self._spelt: dict[int, str] = {}  # follows from the names
        self._tasks: dict[str, int] = {}

    def p(self, before: Before, call: str | None, task: str = "") -> float:
        """Probability of a call, or of the end (None), in (0, 1)."""
        return self._p(self._context(before), self._id(call), self._tasks.get(task, 0))

    def knows(self, call: str) -> str | None:
        """The name as it is kept, so that who keeps many of them keeps each once."""
        return self._spelt.get(self._names.get(call, OTHER))

    def seen(self, before: Before, call: str | None) -> tuple[int, int]:
        """How often the agent went on so after the call before, and how often it went on at all."""
        context = _key(0, 1, 0, self._context(before)[1])
        n = self._tallies.get(context, (0, 0))[0]
        return self._cells.get(context << 6 | self._id(call), 0), n

    def usual(self, before: Before, most: int = 2) -> list[tuple[str, float]]:
        """What follows the call before most often, and its share; by name where equal."""
        context = _key(0, 1, 0, self._context(before)[1])
        n = self._tallies.get(context, (1, 0))[0]
        named = [("the end", END), *self._names.items()]
        found = [(self._cells.get(context << 6 | number, 0), name) for name, number in named]
        ranked = sorted((-count, name) for count, name in found if count)
        return [(name, round(-count / n, 3)) for count, name in ranked[:most]]

    def learn(self, calls: Sequence[str], whole: bool = True, task: str = "") -> None:
        """Count one run; one that is not `whole` has no end."""
        if self._tallies.get(0, (0,))[0] + len(calls) >= _COUNT_MAX:
            self._halve()
        owners = [0, self._enter(task)] if task else [0]
        owners = owners[: 1 + any(owners)]  # without a number the agent is counted alone
        symbols = [BEGIN, *(self._intern(call) for call in calls)] + [END] * whole
        for i in range(1, len(symbols)):
            a, b, x = symbols[i - 2] if i > 1 else BEGIN, symbols[i - 1], symbols[i]
            for owner in owners:
                root = owner << 14  # as `_key` makes them, without its call
                self._count(root, x)
                self._count(root | 1 << 12 | b, x)
                if i > 1:
                    self._count(root | 2 << 12 | a << 6 | b, x)
        while len(self._cells) > _CELLS_MAX:
            self._halve()

    # -- symbols ---------------------------------------------------------------------------------

    def _id(self, call: str | None) -> int:
        return END if call is None else self._names.get(call, OTHER)

    def _context(self, before: Before) -> tuple[int, int]:
        a, b = before
        return self._id(a) if a else BEGIN, self._id(b) if b else BEGIN

    def _intern(self, call: str) -> int:
        found = self._names.get(call)
        if found is None:
            found = _free(self._names, range(OTHER + 1, _IDS))
            if found:
                self._names[call], self._spelt[found] = found, call
        return found or OTHER

    def _enter(self, task: str) -> int:
        found = self._tasks.get(task)
        if found is None:
            found = _free(self._tasks, range(1, _TASKS_MAX + 1))
            if found:
                self._tasks[task] = found
        return found

    # -- counts ----------------------------------------------------------------------------------

    def _p(self, context: tuple[int, int], x: int, task: int) -> float:
        (a, b), cells, tallies = context, self._cells, self._tallies
        prob = 1.0 / (tallies[0][1] + 1) if tallies else 1.0
        last, deep = 1 << 12 | b, 2 << 12 | a << 6 | b
        for owner in (0, task) if task else (0,):
            root = owner << 14
            # As `_key` makes them, without its call.
            for key in (root, root | last, root | deep):
                tally = tallies.get(key)
                if tally is None:
                    break
                n, t = tally
                if n < _DEEP_FROM and key & 2 << 12:
                    break
                prob = (cells.get(key << 6 | x, 0) + t * prob) / (n + t)
        return prob

    def _count(self, context: int, x: int) -> None:
        cell = context << 6 | x
        count = self._cells.get(cell, 0)
        self._cells[cell] = count + 1
        tally = self._tallies.get(context)
        if tally is None:
            tally = self._tallies[context] = [0, 0]
        tally[0] += 1
        if not count:
            tally[1] += 1

    def _halve(self) -> None:
        """Forget half of everything. A context never outlives the shorter one that holds it."""
        self._cells = {cell: count // 2 for cell, count in self._cells.items() if count > 1}
        self._tally()
        self._names = {n: number for n, number in self._names.items() if number in self._cells}
        self._spelt = {number: n for n, number in self._names.items()}
        self._tasks = {
            n: number for n, number in self._tasks.items() if _key(number, 0, 0, 0) in self._tallies
        }

    def _tally(self) -> None:
        self._tallies = {}
        for cell, count in self._cells.items():
            tally = self._tallies.setdefault(cell >> 6, [0, 0])
            tally[0] += count
            tally[1] += 1

    # -- checkpoints -----------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        return {
            "cells": array("I", self._cells), "counts": array("H", self._cells.values()),
            "names": self._names, "tasks": self._tasks,
        }  # fmt: skip

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._cells = dict(zip(state["cells"], state["counts"], strict=True))
        self._names, self._tasks = state["names"], state["tasks"]
        self._spelt = {number: n for n, number in self._names.items()}
        self._tally()


def _key(owner: int, order: int, a: int, b: int) -> int:
    """A context in 18 bits: whose it is, how long, and its last two symbols."""
    return owner << 14 | order << 12 | a << 6 | b


def _free(taken: dict[str, int], numbers: range) -> int:
    """The lowest number that nobody has; 0 if there is none."""
    used = set(taken.values())
    return next((number for number in numbers if number not in used), 0)
