"""The stage of a benchmark: an embedded stack in a folder of its own, crews of agents, a clean end.

Everything runs on two cores, whatever the machine has, so that figures of different machines compare.
Nothing is started again when it dies: then the run is no measurement, and the report says so.
"""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import psutil

from dashboards import runfile
from dashboards.child import bound
from dashboards.stack import Stack, worker_count
from ingest import keys
from ingest.registry import AgentFile
from ingest.settings import Settings
from ingest.simulate.fleet import prepare
from ingest.simulate.journal import Call, Change, Exit, Ready, Tail
from ingest.simulate.roles import Role
from stream.people.registration import publish
from tests.benchmarks import bare, crew
from tracefuse.clock import monotonic

CORES = 2  # what the promised figures are promised for
SIMULATOR_NICE = 10  # agents would run on machines of their own; their lateness is printed
TENANT = "bench"
# A child needs 0.1 s of a core to load its client and to read the commands.
READY_S = 60.0
END_S = 60.0
_POLL_S = 0.05


class Invalid(Exception):
    """The run was no measurement. To whoever runs the benchmark: the text says what went wrong."""


class Crewmen:
    """A crew that runs: its processes' parent and their journals."""

    def __init__(self, process: "subprocess.Popen[bytes]", folder: Path, agents: Sequence[str]):
        self.process = process
        self.folder = folder
        self._tails = {a: Tail(folder / "journals" / f"{a}.jsonl") for a in agents}
        self.ready: set[str] = set()
        self.calls: dict[str, list[Call]] = {agent: [] for agent in agents}
        self.changes: dict[str, list[Change]] = {agent: [] for agent in agents}
        self.exits: dict[str, Exit] = {}

    def look(self) -> None:
        """Read on in the journals."""
        for agent, tail in self._tails.items():
            for entry in tail.read():
                match entry:
                    case Ready():
                        self.ready.add(agent)
                    case Call():
                        self.calls[agent].append(entry)
                    case Change():
                        self.changes[agent].append(entry)
                    case Exit():
                        self.exits[agent] = entry

    def go(self, delay: float = 0.5) -> float:
        """Begin together once all are ready; the moment, monotonic seconds."""
        until = monotonic() + READY_S
        while len(self.ready) < len(self._tails):
            if self.process.poll() is not None or monotonic() > until:
                raise Invalid(f"agents did not start: {self.said()}")
            time.sleep(_POLL_S)
            self.look()
        begin = monotonic() + delay
        crew.go(self.folder, begin)
        return begin

    def wait(self, seconds: float) -> None:
        """Until the last process has ended."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Invalid(f"agents did not end in {seconds:.0f} s: {self.said()}") from None
        self.look()

    def said(self) -> str:
        return (self.folder / "crew.log").read_text(errors="replace")[-2000:]

    @property
    def sent(self) -> int:
        """Events that the SDKs emitted."""
        return sum(one.stats.get("emitted", 0) for one in self.exits.values())

    def late_ms(self) -> list[float]:
        """By how much each burst of each agent came late, ms."""
        files = [self.folder / "journals" / f"{agent}.late.json" for agent in self.exits]
        return [ms for file in files if file.exists() for ms in json.loads(file.read_bytes())]

    def problems(self) -> list[str]:
        """Why this crew's run does not count."""
        found = [f"{a}: no orderly end" for a in self._tails if a not in self.exits]
        for agent, one in self.exits.items():
            if one.error:
                found.append(f"{agent}: {one.error}")
            if one.stats.get("dropped"):
                found.append(f"{agent}: dropped {one.stats['dropped']}")
        return found


class Stage:
    """A stack and its crews, as a context manager.

    Parameters
    ----------
    workers
        Faust workers; 0 is what the stack chooses for two cores.

    Raises
    ------
    StackFailed
        To whoever runs the benchmark: the stack did not start.
    """

    def __init__(self, workers: int = 0):
        self._home = Path(tempfile.mkdtemp(prefix="tracefuse-bench-"))
        settings = Settings(home=str(self._home))
        self._stack = Stack(settings, workers or worker_count(CORES), _say)
        self._crews: list[Crewmen] = []
        self._pids: dict[str, int] = {}

    def __enter__(self) -> Self:
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[:CORES])  # children inherit it
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _interrupted)
        try:
            self._stack.start()
        except BaseException:
            shutil.rmtree(self._home, ignore_errors=True)
            raise
        self.settings = self._stack.settings
        self.keys = keys.load(self.settings.keys_folder)
        run = runfile.read(self._home)
        assert run is not None
        self.processes = {process.name: process for process in run.processes}
        self._pids = {process.name: process.pid for process in run.processes}
        return self

    def __exit__(self, *_: object) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)  # the end is not cut short
        for one in self._crews:
            if one.process.poll() is None:
                one.process.terminate()
        for one in self._crews:
            try:
                one.process.wait(END_S)
            except subprocess.TimeoutExpired:
                one.process.kill()
                one.process.wait()
        self._stack.stop()
        shutil.rmtree(self._home, ignore_errors=True)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)

    @property
    def pids(self) -> Mapping[str, int]:
        """Processes of the stack by name."""
        return self._pids

    def dead(self) -> list[str]:
        """Processes of the stack that have ended."""
        return [f"{name} ended during the run" for name, pid in self._pids.items() if _gone(pid)]

    def prepare(self, folder: str, roles: Sequence[Role]) -> Path:
        """Credentials of a crew, its agents registered; returns its folder."""
        path = self._home / folder
        path.mkdir()
        self.register(prepare(path, self.keys, TENANT, roles))
        return path

    def register(self, agents: Sequence[AgentFile]) -> None:
        """Bring agent files into force."""
        asyncio.run(publish(self.settings, self.keys, agents))

    def bare(self) -> Crewmen:
        """Start two bare hops beside everything else."""
        return self.crew("bare", self.prepare("bare", []), [bare.ASKS, bare.ANSWERS], 0)

    def crew(
        self, module: str, folder: Path, agents: Sequence[str], nice: int, *more: str
    ) -> Crewmen:
        """Start a crew in a process of its own, which forks before it has any thread."""
        command = [
            sys.executable, "-m", f"tests.benchmarks.{module}", "--folder", str(folder),
            "--bootstrap", self.settings.bootstrap, "--tenant", TENANT, *more,
        ]  # fmt: skip
        with (folder / "crew.log").open("wb") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for us; we end the crew in order
                preexec_fn=bound(os.getpid(), nice),
            )
        with contextlib.suppress(OSError):
            # Where the kernel groups processes by session, nice counts within a session only.
            Path(f"/proc/{process.pid}/autogroup").write_text(str(nice))
        started = Crewmen(process, folder, agents)
        self._crews.append(started)
        return started


def _gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _interrupted(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
