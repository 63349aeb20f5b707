"""CPU time of processes of this machine, as the kernel counts it. Linux only; elsewhere nothing."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

_PROC = Path("/proc")


def by_kind(pids: Mapping[str, int]) -> dict[str, float]:
    """CPU time so far by kind of process, µs: ``worker-1`` and ``worker-2`` count as ``worker``.

    Children count with their parent: the broker's Python only watches over its Java.
    """
    table = dict(_table())
    kinds: dict[str, float] = {}
    for name, pid in pids.items():
        if pid in table:
            kind = name.partition("-")[0]
            kinds[kind] = kinds.get(kind, 0.0) + _tree(table, pid)
    return kinds


def parse(stat: str) -> tuple[int, int]:
    """Parent and CPU time in ticks of one line of ``/proc/PID/stat``; ended children included.

    >>> parse("7 (a) b) S 3 7 7 0 -1 0 0 0 0 0 10 5 2 1 20 0 1 0 9")
    (3, 18)
    """
    # The name, in parentheses, may hold anything; fields 14 to 17 are times.
    fields = stat[stat.rindex(")") + 2 :].split()
    return int(fields[1]), sum(map(int, fields[11:15]))


def _table() -> Iterator[tuple[int, tuple[int, float]]]:
    tick_us = 1e6 / os.sysconf("SC_CLK_TCK")
    for path in _PROC.glob("[0-9]*/stat"):
        try:
            parent, ticks = parse(path.read_text())
        except (OSError, ValueError):  # it ended meanwhile
            continue
        yield int(path.parent.name), (parent, ticks * tick_us)


def _tree(table: Mapping[int, tuple[int, float]], pid: int) -> float:
    children = [child for child, (parent, _) in table.items() if parent == pid]
    return table[pid][1] + sum(_tree(table, child) for child in children)
