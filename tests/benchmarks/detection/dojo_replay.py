"""Recorded runs as an agent's process sends them: the SDK's evidence, then the cores of join and detect."""

import re
import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from detectors import CATALOGUE, TaintedArgument
from ingest.agent_file import Access, AgentFile, Owner, Tool
from ingest.records import Fact, Step
from ingest.simulate.recorded import Line, identifier
from ingest.topics import INBOX
from stream import ranking
from stream.alarm import failure
from stream.detect.registering import sealed
from stream.outputs import Answer, Output
from tests.pipe import REGISTRY, TENANT, Pipe, found, signals
from tracefuse.drafts import Draft, Run
from tracefuse.events import Event
from tracefuse.evidence import Identity, Witness
from tracefuse.verdicts import GOES_ON, Verdict

KEY = b"k" * 32
NAMES = {
    "system_prompt": "input.system", "user_message": "input.user", "llm_output": "thought",
    "tool_call": "tool.request", "tool_result": "tool.result",
}  # fmt: skip
# What an owner would say of a tool that is called so.
_READS = re.compile(r"(get|read|list|search|find|view|check|show|fetch|look)([_.]|$)")


class Alarm(NamedTuple):
    """One alarm in the form of the scorer; `p` against the warm-up's runs, 1 before there are any.

    `score` is the product's rank, common to all detectors; `own` is what the detector itself said.
    """

    trace_id: str
    span_id: str
    score: float
    action: str
    on: str
    detector: str
    p: float
    own: float = 0.0
    risks: tuple[str, ...] = ()  # OWASP's ids


class Told:
    """Lines of one run as the agent's process sends them."""

    def __init__(self, trace: list[Line]) -> None:
        self.run = Run(identifier(32, trace[0].trace_id))
        self.seq = 0
        self._witnesses: dict[str, Witness] = {}

    def event(self, line: Line) -> Event:
        """The event of a line, with the evidence that the SDK takes of its text."""
        self.seq += 1
        name = NAMES.get(line.type, f"x.{line.type}")
        call = line.span_id if name == "tool.request" else line.parent_span_id or ""
        draft = Draft(
            name, self.run, identifier(16, line.trace_id, line.span_id),
            int(line.timestamp * 1e6) + self.seq, tool=line.tool, call_id=identifier(16, line.trace_id, call),
        )  # fmt: skip
        if name == "tool.request":
            draft.body = line.args
        elif name == "tool.result" and line.error:
            kind = line.error.partition(":")[0][:64]
            draft.extra = {"status": "error", "error_type": kind, "error_text": line.error}
        else:
            draft.body = line.result if name == "tool.result" else line.text
        return self._witness(line.agent_id).event(draft, self.seq)

    def point(self, name: str, line: Line) -> Event:
        """Where the run of a line's agent begins or ends: what the SDK says around the lines."""
        self.seq += 1
        draft = Draft(
            name, self.run, identifier(16, line.trace_id, line.agent_id, name),
            int(line.timestamp * 1e6) + self.seq,
        )  # fmt: skip
        draft.extra = {"status": "ok"} if name == "run.end" else {}
        return self._witness(line.agent_id).event(draft, self.seq)

    def _witness(self, agent: str) -> Witness:
        witness = self._witnesses.get(agent)
        if witness is None:
            who = Identity(
                tenant=TENANT, agent_id=agent, environment="dev", bundle="",
                boot_id=identifier(16, agent),
            )  # fmt: skip
            witness = self._witnesses[agent] = Witness(who, KEY)
        return witness


def files(runs: Iterable[list[Line]]) -> list[AgentFile]:
    """Each agent's file as its owner begins: its tools are listed, and what changes anything is a write."""
    tools: dict[str, dict[str, Tool]] = {}
    for line in (line for run in runs for line in run if line.type == "tool_call"):
        access: Access = "read" if _READS.match(line.tool) else "write"
        tools.setdefault(line.agent_id, {})[line.tool] = Tool(access=access)
    return [
        AgentFile(name, TENANT, owner=Owner("owner"), tools=tools[name]) for name in sorted(tools)
    ]


class Replay:
    """Recorded runs through the pure cores, line by line; writes wait for their verdict.

    What a call that was held back would have returned is not sent: it did not run. What is found when a
    run has ended is told at its last line.

    Time is the recording's within a run; `pause` seconds go by before the next one begins.
    """

    def __init__(self, of: list[AgentFile], pause: float = 0.0) -> None:
        self.pause = pause
        self.files = {file.agent: file for file in of}
        self.pipe = Pipe()
        self.pipe.tell(*(sealed(file, REGISTRY) for file in of))
        self.sdk_us: list[float] = []
        self.cores_us: list[float] = []

    def play(self, trace: list[Line]) -> list[Alarm]:
        """One run; what each of its lines raised."""
        told, alarms, refused = Told(trace), list[Alarm](), set[str]()
        agents = {line.agent_id: line for line in trace}
        self.pipe.now += self.pause
        shift = self.pipe.now - trace[0].timestamp
        for line in agents.values():
            self.pipe.send(told.point("run.start", line))
        for line in trace:
            self.pipe.now = max(self.pipe.now, shift + line.timestamp)
            begun = time.perf_counter_ns()
            event = told.event(line)
            self.sdk_us.append((time.perf_counter_ns() - begun) / 1e3)
            if event.name == "tool.request" and self._access(line) != "read":
                event.attempt, event.deadline_ms = 1, 1000
            elif event.name == "tool.result" and event.call_id in refused:
                event = msgspec.structs.replace(
                    event, status="not_run", fingerprints=[], sketches={}, result_hash=""
                )
            self.pipe.facts.clear()
            begun = time.perf_counter_ns()
            out = self.pipe.send(event)
            self.cores_us.append((time.perf_counter_ns() - begun) / 1e3)
            said = (one.verdict for one in out if isinstance(one, Answer))
            verdict = next((one for one in said if one.call_id == event.call_id), None)
            if verdict is not None and verdict.word not in GOES_ON:
                refused.add(event.call_id)
            alarms += self._alarms(line, out, verdict)
        for line in agents.values():
            self.pipe.facts.clear()
            alarms += self._alarms(trace[-1], self.pipe.send(told.point("run.end", line)), None)
        return alarms

    def _access(self, line: Line) -> Access:
        file = self.files.get(line.agent_id)
        return file.access(line.tool) if file is not None else "write"

    def _alarms(self, line: Line, out: list[Output], verdict: Verdict | None) -> Iterator[Alarm]:
        """What was said at one line. A step-up counts where a call was held back for it."""
        held = verdict is not None and verdict.gate == "signals"
        asks, score = held and verdict is not None and "tainted" in verdict.reason, 0.0
        rank = 0.0
        for one in signals(out):
            if one.detector == "tainted_argument":
                score, rank = one.score, one.rank
                asks = asks or (held and one.action == "step-up")  # another's word came first
            elif one.detector in CATALOGUE:
                yield alarm(line, one.rank, one.action, one.detector, one.score)
        facts: list[Fact] = found(self.pipe.facts, INBOX, Fact)
        for fact in facts:
            if isinstance(fact, Step) and fact.provenance is not None and not score:
                score = _quiet(fact, self._access(line))  # below every mark; the ranking needs it
        if asks or score:
            word = "step-up" if asks else "log" if score < TaintedArgument.threshold else "annotate"
            yield alarm(line, rank or _unsaid(score), word, "tainted_argument", score)


def _unsaid(score: float) -> float:
    """Rank of what was weighed and is no alarm."""
    said = {"detector": "tainted_argument", "evidence_class": "rule", "severity": "info"}
    return ranking.rank(said | {"score": score, "threshold": TaintedArgument.threshold})


def _quiet(step: Step, access: Access) -> float:
    assert step.provenance is not None
    values = [(value.origin, value.klass) for value in step.provenance.values]
    return TaintedArgument().update(values, step.provenance.orders, access == "read")


def alarm(line: Line, score: float, action: str, detector: str, own: float) -> Alarm:
    """An alarm at a line."""
    on, risks = NAMES.get(line.type, line.type), failure(detector).owasp
    return Alarm(line.trace_id, line.span_id, score, action, on, detector, 1.0, own, risks)
