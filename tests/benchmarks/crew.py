"""Processes of agents for a benchmark: forked from one loaded parent, begun together, ended in order.

The parent has no thread and no connection, so a child starts in milliseconds and shares its memory. Each
child makes itself ready, leaves a line in its journal, and waits for the file ``go``, which names the
moment to begin on the monotonic clock that all processes of a machine share.
"""

import ctypes
import gc
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ingest.simulate.journal import Exit, Journal
from tracefuse.clock import monotonic, now_us

# So long children may take to deliver what is queued, once told to end; then they are killed.
GRACE_S = 30.0
_POLL_S = 0.02
_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


@dataclass(slots=True)
class Errand:
    """What all processes of a crew are told.

    Parameters
    ----------
    folder
        As `ingest.simulate.fleet.prepare` left it: credentials, journals, spools.
    duration
        Seconds from the beginning; who is told to end before that does.
    """

    folder: Path
    bootstrap: str
    tenant: str
    duration: float
    told: bool = field(default=False)
    """Whether this process was told to end."""

    def journal(self, agent: str) -> Path:
        return self.folder / "journals" / f"{agent}.jsonl"

    def credential(self, agent: str) -> Path:
        return self.folder / "credentials" / f"{agent}.json"

    def lateness(self, agent: str) -> Path:
        """Milliseconds by which each burst of an agent came late, as a JSON list."""
        return self.folder / "journals" / f"{agent}.late.json"

    def begin(self) -> float:
        """Wait for the word; the moment to begin, monotonic seconds."""
        go = self.folder / "go"
        while not go.exists() and not self.told:
            time.sleep(_POLL_S)
        return float(go.read_text()) if go.exists() else monotonic()

    def over(self, begin: float) -> bool:
        return self.told or monotonic() >= begin + self.duration


Life = Callable[[str, Errand], None]


def go(folder: Path, begin: float) -> None:
    """Let the crew of a folder begin at `begin`, monotonic seconds."""
    part = folder / "go.part"
    part.write_text(repr(begin))
    part.replace(folder / "go")


class Crew:
    """Forks a process per agent and waits for all of them.

    Parameters
    ----------
    lives
        What each agent's process does from its start to its orderly end.
    errand
        What all are told.
    """

    def __init__(self, lives: Mapping[str, Life], errand: Errand):
        self._lives = lives
        self._errand = errand
        self._running: dict[int, str] = {}

    def run(self) -> int:
        """Until the last one ended; how many did not end in order."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        gc.collect()
        gc.freeze()  # children share the pages of what was loaded, instead of copying them
        for agent, life in self._lives.items():
            self._running[self._fork(agent, life)] = agent
        failed, kill_at = 0, float("inf")
        while self._running:
            if self._errand.told and kill_at == float("inf"):
                self._signal(signal.SIGTERM)
                kill_at = monotonic() + GRACE_S
            if monotonic() >= kill_at:
                self._signal(signal.SIGKILL)
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid:
                failed += self._running.pop(pid, None) is not None and status != 0
            else:
                time.sleep(_POLL_S)
        return failed

    def _stop(self, number: int, frame: object) -> None:
        self._errand.told = True

    def _signal(self, number: signal.Signals) -> None:
        for pid in self._running:
            os.kill(pid, number)

    def _fork(self, agent: str, life: Life) -> int:
        parent = os.getpid()
        pid = os.fork()
        if pid:
            return pid
        status = 1
        try:
            _die_with(parent)
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the benchmark itself
            life(agent, self._errand)
            status = 0
        except BaseException as error:
            traceback.print_exc()
            Journal(self._errand.journal(agent)).write(Exit(now_us(), {}, 0.0, error=repr(error)))
        finally:
            sys.stderr.flush()
            os._exit(status)


def _die_with(parent: int) -> None:
    """Let the kernel end this process when its parent ends, however that happens."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
