"""Probes through the agent's own code: when they are due, one at a time, and changing nothing.

    probes = fuse.probes("probes.jsonl", run=answer)     answer(trace, input) is what users' runs call, too
    probes.run_due()                                     now and then, from wherever the agent has a loop

What a probe's run did is compared in the pipeline with what its owner expected; nothing is judged here.
"""

import inspect
import logging
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from tracefuse import clock, ids
from tracefuse.drafts import Draft, Run
from tracefuse.errors import ConfigError
from tracefuse.probe_file import BadProbes, Probe, ProbeFile, parse
from tracefuse.probe_schedule import Schedule
from tracefuse.tracing import Trace

if TYPE_CHECKING:
    from tracefuse.fuse import Fuse

_log = logging.getLogger("tracefuse")
_MICRO = 1e6

Runner = Callable[[Trace, Any], Any]
"""The agent: given the run's trace and a probe's input, does what it does for users. Sync or async."""


class Probes:
    """The probes of one file, run through one agent. Made by `Fuse.probes`.

    A probe's run is marked on each of its events: it teaches nothing, counts in no comparison of bundles
    and in no gate. Reads and models run; every other call is decided, logged and denied (`ToolDenied` with
    the gate ``shadow``), as in a shadow's run. It uses the process's bundle, else the stable one. What its
    code raises is the run's end and reaches nobody.

    Attributes
    ----------
    missed
        Probes that were not run because nobody asked in time, or one was still running.
    """

    def __init__(self, fuse: "Fuse", file: ProbeFile, run: Runner) -> None:
        self.missed = 0
        self._fuse, self._file, self._run = fuse, file, run
        self._key = fuse.credential.hash_key
        self._digest = file.digest(self._key)
        self._schedule = Schedule(
            fuse.credential.agent_id, file.set, len(file.probes), file.every_s
        )
        self._busy = threading.Lock()

    def run_due(self, now: float | None = None) -> str | None:
        """Run the probe that is due, if one is; its id. To be called at least once an hour.

        Parameters
        ----------
        now
            s UTC; the clock's where it is left out.
        """
        with self._turn() as mine:
            probe = self._due(now) if mine else None
            return self._once(probe) if probe is not None else None

    async def run_due_async(self, now: float | None = None) -> str | None:
        """The same for an agent whose code is async."""
        with self._turn() as mine:
            probe = self._due(now) if mine else None
            return await self._once_async(probe) if probe is not None else None

    def run_all(self) -> list[str]:
        """Run every probe now, one after the other, as after a release; ids of those that ran."""
        with self._turn() as mine:
            return [self._once(probe) for probe in self._file.probes] if mine else []

    async def run_all_async(self) -> list[str]:
        """The same for an agent whose code is async."""
        with self._turn() as mine:
            return [await self._once_async(p) for p in self._file.probes] if mine else []

    def seconds_to_next(self, now: float | None = None) -> float:
        """How long until the next one is due."""
        at = clock.now_us() / _MICRO if now is None else now
        return max(0.0, self._schedule.next_after(at) - at)

    def _due(self, now: float | None) -> Probe | None:
        due = self._schedule.due(clock.now_us() / _MICRO if now is None else now)
        if due.missed:
            self._skipped(due.missed)
        return self._file.probes[due.probe] if due.probe is not None else None

    def _skipped(self, count: int) -> None:
        """Say it in the log and in the stream: a probe that never runs finds nothing."""
        self.missed += count
        _log.warning("probes %s: %d missed their time and were skipped", self._file.set, count)
        boot = self._fuse.boot
        told = {"kind": "contextual", "attrs": {"set": self._file.set, "missed": count}}
        self._fuse.emitter.emit(
            Draft("x.probes.skipped", boot, boot.root, clock.now_us(), extra=told)
        )

    @contextmanager
    def _turn(self) -> Iterator[bool]:
        """Whether no other probe is running; whoever comes second leaves again."""
        mine = self._busy.acquire(blocking=False)
        try:
            yield mine
        finally:
            if mine:
                self._busy.release()

    def _trace(self, probe: Probe) -> Trace:
        run = Run(
            ids.trace_id(), ids.span_id(), probe.task, probe.user, "", self._fuse.bundle_of("", probe=True),
            probe=f"{self._file.set}/{probe.id}",
            expected=msgspec.to_builtins(self._file.expected(probe, self._key, self._digest)),
        )  # fmt: skip
        return Trace(self._fuse, run, None)

    def _once(self, probe: Probe) -> str:
        with _kept(probe), self._trace(probe) as trace:
            made = self._run(trace, probe.input)
            if inspect.iscoroutine(made):
                made.close()
                raise TypeError("an async agent's probes are run by run_due_async")
        return probe.id

    async def _once_async(self, probe: Probe) -> str:
        with _kept(probe):
            async with self._trace(probe) as trace:
                made = self._run(trace, probe.input)
                if isinstance(made, Awaitable):
                    await made
        return probe.id


def read(path: str | Path, declared: dict[str, tuple[str, ...]]) -> ProbeFile:
    """The probes of a file, which must fit the process that is to run them.

    Raises
    ------
    ConfigError
        To the operator, at start: no such file, or mistakes in it.
    """
    try:
        file = parse(Path(path).read_text("utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    unknown = [
        f"{path}: probe {probe.id}: {name!r} of {tool!r} is no decision argument of this process"
        for probe in file.probes
        for tool, args in probe.expect.decision_args.items()
        for name in args
        if name not in declared.get(tool, ())
    ]
    if unknown:
        raise BadProbes(unknown)
    return file


@contextmanager
def _kept(probe: Probe) -> Iterator[None]:
    """What the agent's code raises is told by the run's end, and goes no further."""
    try:
        yield
    except Exception as error:
        _log.info("probe %s ended with %s", probe.id, type(error).__name__)
