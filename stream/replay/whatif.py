"""What another version of an agent's file would have decided: stored history through two cores. Pure.

    inbox records ──► Detect as it was ─────────────┐
                └──► Detect with the other file ────┴──► what appears, vanishes or changes, by run

Both begin as one: until `since` the history warms a single core, which is then copied; so all differences
are the file's. A call that the other file would have stopped never ran, so the second core does not hear
of it. What an agent would have done instead nobody knows: it is not made up.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from ingest.agent_file import AgentFile
from ingest.records import (
    AgentFact,
    Census,
    Hindered,
    Learned,
    Registered,
    Reopened,
    Signal,
    Step,
    Summary,
)
from ingest.topics import FLEET, SIGNALS
from stream.agent.agent_state import AgentState
from stream.agent.breaker import Breaker
from stream.detect.detect import Detect
from stream.outputs import Answer, Line, Output
from stream.partition import Marker
from tracefuse import wire
from tracefuse.signing import CommandVerifier
from tracefuse.verdicts import Verdict

# Changes told one by one; the rest is counted. More than that nobody reads.
CHANGES_MAX = 10_000
# Nobody acknowledges what was never sent, so who did not confirm what can't be asked.
UNASKED = frozenset({"unacknowledged"})
_summary = msgspec.json.Decoder(Summary | Census | Reopened | Learned | Hindered).decode
_signal = msgspec.json.Decoder(Signal).decode
_RUNS = ("allow", "throttle")  # verdicts after which a call runs


APPEARS, VANISHES, CHANGES = "appears", "vanishes", "changes"
_Key = tuple[str, str, str, str]  # run, detector, action, scope


class Change(NamedTuple):
    """One difference. `kind`: incident, stop or verdict; `how`: appears, vanishes or changes."""

    kind: str
    how: str
    trace_id: str
    at: float
    what: str  # detector, or the verdict's gate
    action: str
    scope: str
    sentence: str


@dataclass
class Differences:
    """What the other file changes."""

    changes: list[Change] = field(default_factory=list)
    counted: Counter[tuple[str, str]] = field(default_factory=Counter)  # by kind and how
    annotations: Counter[str] = field(default_factory=Counter)  # by detector: more or fewer
    unmade: Counter[str] = field(default_factory=Counter)  # by run: calls that would not have run
    records: int = 0
    runs: set[str] = field(default_factory=set)

    @property
    def any(self) -> bool:
        """Whether anything would have been otherwise."""
        return bool(self.counted or self.unmade or any(self.annotations.values()))

    def add(self, change: Change) -> None:
        self.counted[change.kind, change.how] += 1
        if len(self.changes) < CHANGES_MAX:
            self.changes.append(change)


class _Core(Detect):
    """The owner of agents, which hears only what `hears` lets through, fact by fact."""

    def __init__(
        self, number: int, verifier: CommandVerifier, hears: Callable[[AgentState, AgentFact], bool]
    ):
        super().__init__(number, verifier)
        self._hears = hears

    def _fact(self, agent: AgentState, fact: AgentFact) -> None:
        if self._hears(agent, fact):
            super()._fact(agent, fact)


class WhatIf:
    """Two cores of one partition, of which the second has another file of one agent.

    Parameters
    ----------
    number, verifier
        The agent's inbox partition; checks what people ordered.
    file
        Of the agent in question.
    since
        Record time (s) from which it is in force.
    known
        In force before, where the history does not tell.
    saved
        Where the history begins, if not at the beginning: marker and cells of a checkpoint.

    Attributes
    ----------
    version
        Of the first file of the agent in force since then; None where there was none.
    """

    def __init__(
        self, number: int, verifier: CommandVerifier, file: AgentFile, since: float,
        known: AgentFile | None = None, saved: tuple[Marker, dict[str, bytes]] | None = None,
    ):  # fmt: skip
        self.differences = Differences()
        self.version: int | None = None
        self._was: Detect = _Core(number, verifier, self._heard)
        self._verifier = verifier
        self._file, self._since, self._known = file, since, known
        self._cells = dict(saved[1]) if saved else {}
        if saved:
            self._was.restore(*saved)
        self._if: Detect | None = None
        self._key = wire.agent_key(file.tenant, file.agent)
        self._left_out: set[str] = set()  # step ids of calls that would not have run
        self._asked: dict[str, str] = {}  # by call id of this record: step id
        self._held_back: set[str] = set()  # calls of this record that were stopped in truth, too
        self._unmatched: dict[str, dict[_Key, list[Signal]]] = {VANISHES: {}, APPEARS: {}}

    def apply(self, offset: int, timestamp: float, headers: wire.Headers, value: bytes) -> None:
        """The next record of the partition."""
        if timestamp < self._since:
            self._was.apply(offset, timestamp, headers, value)
            return
        if self._if is None:
            self._if = self._fork()
        self.differences.records += 1
        self._asked.clear()
        self._held_back.clear()
        was = self._was.apply(offset, timestamp, headers, value)
        would = self._if.apply(offset, timestamp, headers, value)
        agent = self._if.partition.get(self._key)
        if agent is not None:
            agent.awaited.clear()
        before = self._was.partition.get(self._key)
        if self.version is None and before is not None and before.registered:
            self.version = before.file.version
        self._verdicts(was, would)
        self._signals(was, would)

    def _fork(self) -> Detect:
        """The second core: a copy of the first, with the other file."""
        before = self._was.partition.get(self._key)
        if self._known is not None and (before is None or not before.registered):
            # Whatever version follows in the history must come into force.
            rule(self._was, self._key, msgspec.structs.replace(self._known, version=0))
        snapshot = self._was.freeze()
        while self._was.partition.encode_some(snapshot):
            pass
        cells = self._cells | snapshot.cells
        self._cells = {}
        copy = _Core(self._was.number, self._verifier, self._happens)
        copy.restore(snapshot.marker, {k: cell for k, cell in cells.items() if cell is not None})
        rule(copy, self._key, self._file)
        return copy

    # -- what the second core hears ---------------------------------------------------------------

    def _heard(self, agent: AgentState, fact: AgentFact) -> bool:
        """The first core hears all; which calls it holds back by then is remembered."""
        if self._if is not None and isinstance(fact, Step) and self._is_ours(agent):
            self.differences.runs.add(fact.trace_id)
            self._asked[fact.call_id] = fact.step_id
            if any(breaker.stopped for breaker in _breakers(agent, fact)):
                self._held_back.add(fact.step_id)
        return True

    def _happens(self, agent: AgentState, fact: AgentFact) -> bool:
        """Whether a fact would have come about; a call that a stop or a verdict prevents would not."""
        if not self._is_ours(agent):
            return True
        if not isinstance(fact, Step):
            return not isinstance(fact, Registered)
        if fact.phase == "complete":
            return fact.step_id not in self._left_out
        stopped = any(breaker.stopped for breaker in _breakers(agent, fact))
        if not stopped or fact.step_id in self._held_back:
            return True
        self._leave_out(fact.trace_id, fact.step_id)
        return False

    def _leave_out(self, trace_id: str, step_id: str) -> None:
        if step_id not in self._left_out:
            self._left_out.add(step_id)
            self.differences.unmade[trace_id] += 1

    def _is_ours(self, agent: AgentState) -> bool:
        return self._ours(agent.tenant, agent.agent_id)

    # -- what is compared --------------------------------------------------------------------------

    def _verdicts(self, was: list[Output], would: list[Output]) -> None:
        """Both cores judge the same asking at the same record, or the call was left out."""
        found = {_asking(verdict): verdict for verdict in self._answers(would)}
        for before in self._answers(was):
            after = found.get(_asking(before))
            if after is None or after.word == before.word:
                continue
            self.differences.add(
                Change(
                    "verdict", CHANGES, before.trace_id, self._was.partition.now, after.gate,
                    f"{before.word} -> {after.word}", before.call_id, after.reason,
                )
            )  # fmt: skip
            if before.word in _RUNS and after.word not in _RUNS:
                self._leave_out(before.trace_id, self._step_of(before))

    def _step_of(self, verdict: Verdict) -> str:
        """Step id of a call that was judged just now."""
        return self._asked.get(verdict.call_id, "")

    def _answers(self, outputs: list[Output]) -> Iterator[Verdict]:
        for one in outputs:
            if isinstance(one, Answer) and self._ours(one.verdict.tenant, one.verdict.agent_id):
                yield one.verdict

    def _ours(self, tenant: str, agent_id: str) -> bool:
        return wire.agent_key(tenant, agent_id) == self._key

    def _signals(self, was: list[Output], would: list[Output]) -> None:
        """Incidents are matched by run, detector, action and scope, at whatever time they came."""
        for how, outputs in ((VANISHES, was), (APPEARS, would)):
            for signal in self._said(outputs, FLEET):
                self._match(how, signal)
            step = 1 if how == APPEARS else -1
            for signal in self._said(outputs, SIGNALS):
                if signal.action == "annotate":
                    self.differences.annotations[signal.detector] += step

    def _said(self, outputs: list[Output], topic: str) -> Iterator[Signal]:
        for one in outputs:
            if not isinstance(one, Line) or one.topic != topic:
                continue
            found = _summary(one.value) if topic == FLEET else _signal(one.value)
            if isinstance(found, Summary):
                found = found.signal
            if not isinstance(found, Signal) or found.detector in UNASKED:
                continue
            if self._ours(found.tenant, found.agent_id):
                yield found

    def _match(self, how: str, signal: Signal) -> None:
        key = (signal.trace_id, signal.detector, signal.action, signal.scope)
        other = self._unmatched[APPEARS if how == VANISHES else VANISHES]
        waiting = other.get(key)
        if not waiting:
            self._unmatched[how].setdefault(key, []).append(signal)
            return
        waiting.pop()
        if not waiting:
            del other[key]

    def finish(self) -> Differences:
        """All records are applied: what has no counterpart appears, or vanishes."""
        for how, found in self._unmatched.items():
            for signal in (one for signals in found.values() for one in signals):
                kind = "stop" if signal.cmd_id else "incident"
                self.differences.add(
                    Change(
                        kind, how, signal.trace_id, signal.at, signal.detector, signal.action,
                        signal.scope, signal.sentence,
                    )
                )  # fmt: skip
            found.clear()
        self.differences.changes.sort(key=lambda change: (change.at, change.how, change.kind))
        return self.differences


def _asking(verdict: Verdict) -> tuple[str, str, int]:
    return verdict.trace_id, verdict.call_id, verdict.attempt


def rule(core: Detect, key: str, file: AgentFile) -> None:
    """Bring a file into force from here on, whoever signed it: nothing of this is written."""
    agent = core.partition.open(key)
    agent.file, agent.registered = file, True
    agent.arm()
    core.partition.close(key, agent)


def _breakers(agent: AgentState, step: Step) -> Iterator[Breaker]:
    yield agent.breaker
    for owner in (
        agent.runs.get(step.trace_id), agent.tools.get(step.tool), agent.bundles.get(step.bundle)
    ):  # fmt: skip
        if owner is not None:
            yield owner.breaker
