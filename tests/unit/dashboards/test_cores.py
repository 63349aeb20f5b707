"""Who runs on which core, with real processes."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from dashboards import cores
from dashboards.stack import Stack
from ingest.settings import Settings

CORES = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else {0}
pytestmark = pytest.mark.skipif(
    len(CORES) < 2, reason="one core, or a system that binds nobody to cores: nothing to choose"
)
# Two threads and a child, as the broker has: a Python process that waits for a Java one.
FAMILY = """
import subprocess, sys, threading, time
threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
child = subprocess.Popen([sys.executable, "-c", "import time; print(1, flush=True); time.sleep(600)"])
time.sleep(600)
"""


@pytest.fixture
def family() -> Iterator[psutil.Process]:
    """A process with a second thread and a child."""
    with subprocess.Popen([sys.executable, "-c", FAMILY], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        found = psutil.Process(process.pid)
        everybody = [found, *found.children(recursive=True)]
        yield found
        for one in reversed(everybody):
            one.kill()


def ended() -> int:
    """The id of a process that is no more."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        return process.pid


def where(process: psutil.Process) -> list[set[int]]:
    """Cores of each thread of a process and its children."""
    return [
        os.sched_getaffinity(thread.id)
        for one in (process, *process.children(recursive=True))
        for thread in one.threads()
    ]


def test_the_worker_has_a_core_that_the_broker_keeps_off(family: psutil.Process) -> None:
    """Every thread of each, and of its children; whoever is neither goes where it likes."""
    cores.bind({"worker-1": family.pid})
    assert where(family) == [{min(CORES)}] * 3

    cores.bind({"worker-1": ended(), "broker": family.pid})
    assert where(family) == [CORES - {min(CORES)}] * 3


def test_one_that_has_ended_keeps_nobody_from_being_bound(family: psutil.Process) -> None:
    """Its id may be nobody's by now."""
    cores.bind({"broker": ended(), "worker-1": family.pid})

    assert where(family) == [{min(CORES)}] * 3


def test_several_workers_are_left_to_the_scheduler(family: psutil.Process) -> None:
    """With more of them than one nobody has a core to himself."""
    cores.bind({"worker-1": family.pid, "worker-2": ended(), "broker": ended()})

    assert where(family) == [CORES] * 3


def test_what_others_may_use_does_not_count() -> None:
    """Whoever confines the stack to some cores gets as many workers as those can feed."""
    told = (
        f"import os; os.sched_setaffinity(0, {{{max(CORES)}}});"
        "from dashboards import cores; print(cores.usable())"
    )
    confined = subprocess.run(
        [sys.executable, "-c", told], capture_output=True, text=True, check=True
    )

    assert confined.stdout == f"[{max(CORES)}]\n"


def test_workers_are_chosen_by_what_may_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four usable cores feed three workers, whatever the machine has."""
    monkeypatch.setattr(cores, "usable", lambda: [0, 1, 2, 3])

    assert Stack(Settings(home=str(tmp_path))).workers == 3
