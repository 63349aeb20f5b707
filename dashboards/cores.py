"""Which cores the processes of the embedded stack run on. Linux only; elsewhere the system decides.

One worker decides for everybody, and what waits for it waits for its core. Broker, store and sink share the
other cores. The rest, and agents that run on the same machine, go wherever there is room.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence

import psutil

KEEPERS = ("broker", "store", "sink")


def usable() -> list[int]:
    """Cores that this process may run on; of a system that does not say, all that there are."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def placed(names: Iterable[str], cores: Sequence[int]) -> dict[str, set[int]]:
    """Cores of the processes that are bound to some, by their names.

    Several workers, or a single core, are left to the scheduler: then nobody has a core to himself anyway.

    >>> placed(["broker", "store", "worker-1", "alerts", "sink"], [0, 1])
    {'broker': {1}, 'store': {1}, 'worker-1': {0}, 'sink': {1}}
    >>> placed(["broker", "worker-1", "worker-2"], [0, 1, 2]), placed(["broker", "worker-1"], [3])
    ({}, {})
    """
    names = list(names)
    workers = [name for name in names if name.startswith("worker")]
    first, *others = sorted(cores)
    if len(workers) != 1 or not others:
        return {}
    return {
        name: {first} if name in workers else set(others)
        for name in names
        if name in (*workers, *KEEPERS)
    }


def bind(pids: Mapping[str, int]) -> None:
    """Bind running processes, by their names, and their children to the cores of this one.

    A thread that is born during the first look may have missed it; what binds at the second has all.
    """
    if not hasattr(os, "sched_setaffinity"):
        return
    for name, cores in placed(pids, usable()).items():
        for _ in range(2):
            for thread in _threads(pids[name]):
                with contextlib.suppress(OSError):  # it has ended
                    os.sched_setaffinity(thread, cores)


def _threads(pid: int) -> Iterator[int]:
    with contextlib.suppress(psutil.Error, OSError):
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            yield from map(int, os.listdir(f"/proc/{one.pid}/task"))
