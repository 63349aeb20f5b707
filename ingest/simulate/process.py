"""One agent's process from its start to its orderly end. Runs in a fork of the fleet."""

import os
import signal
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import tracefuse
from ingest.simulate import work
from ingest.simulate.journal import Change, Exit, Journal, Mark, Ready
from ingest.simulate.pace import Pace
from ingest.simulate.player import Player
from ingest.simulate.roles import Role, agent_file
from ingest.simulate.scenario import Moment
from ingest.simulate.scenarios import SCENARIOS
from ingest.simulate.script import Script
from tracefuse.clock import monotonic, now_us
from tracefuse.control import Command
from tracefuse.probe_runs import Probes

# An agent that was refused tries again after this long, as a queue worker would.
RETRY_S = 1.0
# No fault begins so shortly before the end that its stop would find nobody at work any more.
CALM_S = 4.0
# So long an agent waits at its end for the broker to have everything.
DELIVERY_S = 15.0
# So long it waits at its start for its own file: versions and fallbacks stand there. It takes 0.2 s.
FILE_S = 5.0
_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Errand:
    """What all processes of a fleet are told.

    Parameters
    ----------
    folder
        Holds ``credentials/``; gets ``journals/`` and ``spools/``.
    end
        When to stop, on the monotonic clock that all processes of a machine share.
    """

    folder: Path
    bootstrap: str
    tenant: str
    seed: int
    end: float

    def journal(self, agent: str) -> Path:
        return self.folder / "journals" / f"{agent}.jsonl"

    def credential(self, agent: str) -> Path:
        return self.folder / "credentials" / f"{agent}.json"

    def probes(self, agent: str) -> Path:
        return self.folder / "journals" / f"{agent}.probes"


class Work:
    """What an agent does next: healthy runs, and those that its fault bends. Pure.

    Parameters
    ----------
    role
        Who it is.
    random
        All its choices come from here.
    """

    def __init__(self, role: Role, random: Random):
        self._role = role
        self._task = work.TASKS[role.task]
        self._random = random
        scenario = SCENARIOS.get(role.scenario)
        self._usual = scenario.usual if scenario else None
        self.warm = scenario.warm if scenario else 0
        """Runs of history that are still to be played, as fast as they go."""
        self.starts_s = scenario.starts_s if scenario else 0.0
        self.habitual = self._usual is not None
        """Whether whole runs keep to the rate, since their moves have times of their own."""
        self._bent = 0
        self.faulty = False
        """Whether the fault has begun."""

    def next(self, elapsed_s: float, left_s: float) -> Script:
        """Script of a run that begins so many seconds after the agent did, and before its end."""
        if self.warm:
            self.warm -= 1
            return self._healthy()
        fault = self._role.fault
        due = fault is not None and 0 <= elapsed_s - fault.fault_at_s < fault.fault_s
        if fault is None or not due or left_s < CALM_S:
            return self._healthy()
        self.faulty = True
        moment = Moment(elapsed_s - fault.fault_at_s, self._bent)
        self._bent += 1
        bent = fault.distort(self._task, moment, self._random)
        return bent or self._healthy()

    def asked(self, message: str) -> Script:
        """How it answers a task that somebody else sets, now: as it does its users' work."""
        moment, fault = Moment(0.0, self._bent), self._role.fault if self.faulty else None
        bent = fault.distort(self._task, moment, self._random) if fault else None
        return replace(bent or self._healthy(), message=message)

    def _healthy(self) -> Script:
        return (self._usual or work.script)(self._task, self._random)


class Life:
    """One agent at work until the errand's end.

    Parameters
    ----------
    role
        Who it is.
    rate
        Events a second that its healthy work makes.
    """

    def __init__(self, role: Role, rate: float, errand: Errand):
        self._errand = errand
        self._began = monotonic()
        self._journal = Journal(errand.journal(role.agent))
        self._work = Work(role, Random(f"{errand.seed}/{role.agent}"))
        self._obeyed: set[str] = set()
        pace = self._pace = Pace(rate, monotonic())
        places = [""] + ([role.fault.elsewhere] if role.fault and role.fault.elsewhere else [])
        self._fuses = {place: self._started(role, place) for place in places}
        self._players = {
            place: Player(fuse, self._journal, pace) for place, fuse in self._fuses.items()
        }
        self._probes = self._probing(role)
        self._stopping = False
        self._runs = self._refused = 0
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the fleet's parent

    def _started(self, role: Role, place: str) -> tracefuse.Fuse:
        """The SDK as the agent has it, where its file says that it runs, or elsewhere."""
        errand, instruments = self._errand, work.TASKS[role.task].instruments
        fuse = tracefuse.init(
            agent=role.agent,
            tenant=errand.tenant,
            environment=place or agent_file(role, errand.tenant).environment,
            bootstrap=errand.bootstrap,
            credential=errand.credential(role.agent),
            spool=errand.folder / "spools" / f"{role.agent}{place and '-'}{place}",
            decision_args={t.name: t.decision_args for t in instruments if t.decision_args},
            access={tool.name: tool.access for tool in instruments},
        )
        if role.scenario:
            for tool, said in SCENARIOS[role.scenario].describes.items():
                fuse.describe(tool, said)
        fuse.on_change(partial(self._changed, fuse))
        if role.fault is not None and not role.fault.obeys:
            fuse.gate.hear = _deaf  # type: ignore[method-assign]
        return fuse

    def _probing(self, role: Role) -> Probes | None:
        """Its owner's probes, which go the way of its users' runs."""
        text = SCENARIOS[role.scenario].probes if role.scenario else ""
        if not text:
            return None
        path, player = self._errand.probes(role.agent), self._players[""]
        path.write_text(text, "utf-8")

        def answer(trace: tracefuse.Trace, task: Any) -> None:
            player.through(trace, self._work.asked(task))

        return self._fuses[""].probes(path, run=answer)

    def _await_file(self) -> None:
        until = monotonic() + FILE_S
        while monotonic() < until and any(f.held.grants is None for f in self._fuses.values()):
            time.sleep(_POLL_S)

    def _wait(self, seconds: float) -> None:
        until = min(monotonic() + seconds, self._errand.end)
        while not self._stopping and monotonic() < until:
            time.sleep(_POLL_S)

    def live(self) -> None:
        """Run after run; then deliver everything and leave a complete journal."""
        self._await_file()
        self._wait(self._work.starts_s)
        began = monotonic()
        self._pace.restart(began)
        self._journal.write(Ready(now_us(), os.getpid(), round(began - self._began, 4)))
        while not self._stopping and monotonic() < self._errand.end:
            now = monotonic()
            self._run(now - began, self._errand.end - now)
        for fuse in self._fuses.values():
            fuse.close(DELIVERY_S)
        stats = total(fuse.stats() for fuse in self._fuses.values())
        self._journal.write(Exit(now_us(), stats, time.process_time(), self._runs, self._refused))
        self._journal.close()

    def _run(self, elapsed_s: float, left_s: float) -> None:
        healthy = not self._work.faulty
        warming = self._work.warm > 0
        script = self._work.next(elapsed_s, left_s)
        if healthy and self._work.faulty:
            self._journal.write(Mark(now_us(), "fault"))
        self._runs += 1
        player = self._players[script.environment]
        if self._work.habitual and not warming:
            player.keep_pace()
        refused = not player.play(script)
        if self._probes is not None and not warming:
            self._probes.run_all()
        if warming and not self._work.warm:
            self._pace.restart(monotonic())  # what comes now keeps to the rate again
        if refused:
            self._refused += 1
            time.sleep(RETRY_S)

    def _stop(self, number: int, frame: object) -> None:
        self._stopping = True
        for player in self._players.values():
            player.stopping = True

    def _changed(self, fuse: tracefuse.Fuse, command: Command) -> None:
        """The gate obeyed a command; called by the SDK in its own thread, also when it is withdrawn."""
        if command.cmd_id in self._obeyed:
            return
        self._obeyed.add(command.cmd_id)
        reason, latest = command.reason, fuse.changes[-1]
        self._journal.write(
            Change(
                latest.at_us, command.scope, command.state, command.cmd_id,
                reason.rule, reason.text, reason.last_emitted_at, command.interval_ms,
            )
        )  # fmt: skip


def total(stats: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """What became of the events of all processes of one agent.

    >>> total([{"emitted": 3, "dropped": {"full": 1}}, {"emitted": 2, "dropped": {}}])
    {'emitted': 5, 'dropped': {'full': 1}}
    """
    found: dict[str, Any] = {}
    for one in stats:
        for name, value in one.items():
            if isinstance(value, dict):
                found[name] = dict(Counter(found.get(name, {})) + Counter(value))
            else:
                found[name] = found.get(name, 0) + value
    return found


def _deaf(*_: object, **__: object) -> None:
    """The gate of an agent that hears no command: it stops nothing and acknowledges nothing."""


def live(role: Role, rate: float, errand: Errand) -> None:
    """The whole life of one agent's process."""
    Life(role, rate, errand).live()
