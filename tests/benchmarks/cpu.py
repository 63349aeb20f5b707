"""How busy the machine was, by whom: part of each report, since figures of a busy machine are worse.

CPU time of the stack's processes is `dashboards.cpu`'s; here is what the kernel counts for all cores.
"""

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True, slots=True)
class Machine:
    """What all cores have done so far, in seconds."""

    busy: float
    idle: float
    steal: float

    @classmethod
    def now(cls) -> "Machine":
        times = psutil.cpu_times()
        idle, steal = times.idle + getattr(times, "iowait", 0.0), getattr(times, "steal", 0.0)
        # Time of guests is within user time already.
        guests = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
        return cls(sum(times) - guests - idle - steal, idle, steal)


def shares(before: Machine, after: Machine, ours_s: float) -> dict[str, float]:
    """How the machine's time was spent between two looks, as ratios; `ours_s` is our CPU time.

    >>> shares(Machine(0.0, 0.0, 0.0), Machine(6.0, 3.0, 1.0), ours_s=5.0)
    {'ours': 0.5, 'others': 0.1, 'idle': 0.3, 'steal': 0.1}
    """
    busy, idle, steal = (
        after.busy - before.busy,
        after.idle - before.idle,
        after.steal - before.steal,
    )
    total = max(busy + idle + steal, 1e-9)
    spent = {"ours": ours_s, "others": max(busy - ours_s, 0.0), "idle": idle, "steal": steal}
    return {name: round(seconds / total, 3) for name, seconds in spent.items()}


def waited_ms(pids: Mapping[str, int]) -> dict[str, float]:
    """Time that the threads of each process were ready to run and had no core, ms so far.

    The kernel's own count, children included; nothing where it keeps none.
    """
    found = {}
    for name, pid in pids.items():
        with contextlib.suppress(psutil.NoSuchProcess):
            family = [pid, *(one.pid for one in psutil.Process(pid).children(recursive=True))]
            found[name] = sum(_waited(one) for one in family)
    return found


def _waited(pid: int) -> float:
    total = 0.0
    for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with contextlib.suppress(OSError):  # the thread ended meanwhile
            total += int(path.read_text().split()[1]) / 1e6
    return total


def a_second(before: Mapping[str, float], after: Mapping[str, float], s: float) -> dict[str, float]:
    """Growth a second of counts by name.

    >>> a_second({"sink": 10.0}, {"sink": 30.0, "new": 1.0}, 4.0)
    {'sink': 5.0}
    """
    return {n: round((after[n] - was) / s, 1) for n, was in before.items() if n in after}


def load() -> list[float]:
    """Load averages of 1, 5 and 15 minutes."""
    return [round(one, 2) for one in os.getloadavg()]
