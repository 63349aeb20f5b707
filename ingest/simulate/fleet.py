"""The whole fleet: one parent that forks a process per agent, and sees to it that each one ends.

The parent loads everything before it forks and has no thread and no connection itself, so a child
starts in milliseconds and shares the parent's memory. Run as `python -m ingest.simulate`.
"""

import ctypes
import gc
import os
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from ingest.keys import Keys
from ingest.registry import AgentFile
from ingest.simulate.journal import Exit, Journal
from ingest.simulate.process import Errand, live
from ingest.simulate.roles import STEADY_EPS, Role, agent_file, write_registry
from tracefuse import credentials
from tracefuse.clock import monotonic, now_us

# Agents have this long to end their run and deliver what is queued; then they are killed.
GRACE_S = 20.0
_POLL_S = 0.05
# Agents of a real fleet live on many machines; here they must not all log in at the same moment.
_APART_S = 0.1
_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def rates(roles: Sequence[Role], events_per_second: float) -> dict[str, float]:
    """Events a second of each agent, so that together they reach the rate.

    Faulty agents and twins keep to their steady pace; the rest share what is left, at least 1 each.

    >>> from ingest.simulate.roles import fleet
    >>> rates(fleet(["tool_loop"], healthy=2), 200.0)
    {'tool-loop': 30.0, 'tool-loop-twin': 30.0, 'refund-eu-1': 70.0, 'research-eu-1': 70.0}
    """
    steady = sum(role.steady for role in roles)
    steady_rate = min(STEADY_EPS, max(events_per_second / max(len(roles), 1), 1.0))
    share = (events_per_second - steady_rate * steady) / max(len(roles) - steady, 1)
    return {role.agent: steady_rate if role.steady else max(share, 1.0) for role in roles}


def prepare(folder: Path, keys: Keys, tenant: str, roles: Sequence[Role]) -> list[AgentFile]:
    """Write what the fleet needs: ``registry/`` with a file per agent, ``credentials/`` likewise."""
    agents = [agent_file(role, tenant) for role in roles]
    write_registry(folder / "registry", agents)
    for role in roles:
        path = folder / "credentials" / f"{role.agent}.json"
        credentials.save(keys.credential(tenant, role.agent), path)
    for name in ("journals", "spools"):
        (folder / name).mkdir(exist_ok=True)
    return agents


class Fleet:
    """Forks the agents and waits for all of them.

    Parameters
    ----------
    roles, rates
        Who they are, and the events a second of each.
    errand
        What all of them are told.
    """

    def __init__(self, roles: Sequence[Role], rates: dict[str, float], errand: Errand):
        self._roles = roles
        self._rates = rates
        self._errand = errand
        self._running: dict[int, Role] = {}
        self._stopping = False

    def run(self) -> int:
        """Play until the errand's end; the number of agents that did not end in order."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        gc.collect()
        gc.freeze()  # children share the pages of what was loaded, instead of copying them
        for role in self._roles:
            self._running[self._fork(role)] = role
            time.sleep(_APART_S)
        failed = self._reap(self._errand.end)
        self._signal(signal.SIGTERM)
        # One that hangs is woken, so that it delivers what it had queued.
        self._signal(signal.SIGCONT)
        failed += self._reap(monotonic() + GRACE_S)
        failed += len(self._running)
        self._signal(signal.SIGKILL)
        self._reap(monotonic() + GRACE_S)
        return failed

    def _stop(self, number: int, frame: object) -> None:
        self._stopping = True

    def _fork(self, role: Role) -> int:
        parent = os.getpid()
        pid = os.fork()
        if pid:
            return pid
        status = 1
        try:
            _die_with(parent)
            live(role, self._rates[role.agent], self._errand)
            status = 0
        except BaseException as error:
            traceback.print_exc()
            journal = Journal(self._errand.journal(role.agent))
            journal.write(Exit(now_us(), {}, time.process_time(), error=repr(error)))
        finally:
            sys.stderr.flush()
            os._exit(status)

    def _reap(self, until: float) -> int:
        """Take leave of those that end before `until`, or before somebody ends it all."""
        failed = 0
        while self._running and monotonic() < until and not self._stopping:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                time.sleep(_POLL_S)
            elif self._running.pop(pid, None) is not None:
                failed += status != 0
        self._stopping = False
        return failed

    def _signal(self, number: signal.Signals) -> None:
        for pid in self._running:
            os.kill(pid, number)


def _die_with(parent: int) -> None:
    """Let the kernel end this process when its parent ends, however that happens; hung ones too."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
