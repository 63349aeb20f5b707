"""What a supervised process promises."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import psutil

from dashboards.child import LOG_BYTES_MAX, Child, Restarts

PATIENCE = 10.0
# A supervisor in miniature: it starts one child, tells its id, and waits to be killed.
SUPERVISOR = """
import pathlib, sys, time
from dashboards.child import Child
child = Child("c", [sys.executable, "-c", "import time; time.sleep(600)"], {}, pathlib.Path(sys.argv[1]))
child.start()
print(child.pid, flush=True)
time.sleep(600)
"""


def sleeper(folder: Path, code: str = "import time; time.sleep(600)") -> Child:
    return Child("sleeper", [sys.executable, "-c", code], dict(os.environ), folder / "c.log")


def ended(pid: int, seconds: float) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        _, alive = psutil.wait_procs([psutil.Process(pid)], timeout=seconds)
        return not alive
    return True


def test_it_waits_longer_each_time_and_never_floods() -> None:
    """A process that dies at once is started at most five times in any minute."""
    restarts = Restarts()
    now, starts = 0.0, []
    for _ in range(40):
        now += restarts.delay(now)
        starts.append(now)

    assert [b - a for a, b in pairwise(starts[:4])] == [1.0, 2.0, 4.0]
    assert all(len([s for s in starts if at <= s < at + 60.0]) <= 6 for at in starts)


def test_a_calm_hour_is_forgiven() -> None:
    """After a minute without a crash the next start comes quickly again."""
    restarts = Restarts()
    for now in (0.0, 1.0, 2.0, 3.0):
        restarts.delay(now)

    assert restarts.delay(3600.0) == Restarts.FIRST


def orphaned(folder: Path, preamble: str = "") -> int:
    """Kill a supervisor, which then can't clean up; the id of the child that it had."""
    supervisor = subprocess.Popen(
        [sys.executable, "-c", preamble + SUPERVISOR, str(folder / "c.log")], stdout=subprocess.PIPE
    )
    assert supervisor.stdout is not None
    with supervisor.stdout as said:
        pid = int(said.readline())
    assert psutil.pid_exists(pid)
    supervisor.kill()
    supervisor.wait()
    return pid


def test_it_ends_with_its_supervisor(tmp_path: Path) -> None:
    """A supervisor that is killed leaves no child behind."""
    pid = orphaned(tmp_path)

    assert ended(pid, PATIENCE)


def test_without_the_kernels_help_it_would_stay(tmp_path: Path) -> None:
    """Control: the same child, not bound to its parent, outlives it."""
    pid = orphaned(tmp_path, "import dashboards.child as c; c.bound = lambda *_: None")
    stayed = not ended(pid, 0.5)
    psutil.Process(pid).kill()

    assert stayed


def test_a_stubborn_one_is_killed(tmp_path: Path) -> None:
    """SIGTERM first; who ignores it is ended by force, and the caller is told."""
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
    child = sleeper(tmp_path, code)
    child.start()
    until = time.monotonic() + PATIENCE
    while "up" not in child.said() and time.monotonic() < until:
        os.sched_yield()
    child.terminate()
    orderly = child.wait(time.monotonic() + 0.2)

    assert not orderly
    assert not child.alive


def test_a_hanging_one_hears_the_end(tmp_path: Path) -> None:
    """A child stopped by SIGSTOP is woken up, so that it can end in order."""
    child = sleeper(tmp_path)
    child.start()
    os.kill(child.pid, signal.SIGSTOP)
    child.terminate()

    assert child.wait(time.monotonic() + PATIENCE)


def test_logs_are_bounded(tmp_path: Path) -> None:
    """A log beyond its bound moves to one older copy; the child goes on writing into the new one."""
    child = sleeper(tmp_path)
    child.log.write_bytes(b"x" * (LOG_BYTES_MAX + 1))
    child.rotate()
    child.rotate()

    assert child.log.stat().st_size == 0
    assert child.log.with_suffix(".log.1").stat().st_size == LOG_BYTES_MAX + 1


def test_its_last_words_fit_on_one_line(tmp_path: Path) -> None:
    """A message to the operator: what it said last, and where the rest is."""
    child = sleeper(tmp_path, "print('first'); print('no port is free'); print()")
    child.start()
    child.wait(time.monotonic() + PATIENCE)

    assert child.tail() == f"no port is free (log: {tmp_path / 'c.log'})"
