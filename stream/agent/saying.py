"""What the owner of one partition says: signals, orders, answers, each with its source mark. Pure."""

from typing import Any

from detectors.input_lag import InputLag
from ingest import codec
from ingest.records import Reopened, Run, Signal, Src, Step, Summary
from ingest.topics import FLEET, INBOX, SIGNALS
from stream import alarm, ranking
from stream.agent.agent_state import AgentState
from stream.outputs import Line, Output
from tracefuse import wire


class Saying:
    """What follows from one record, collected while it is applied.

    Parameters
    ----------
    number
        The partition of `agent.inbox.v1`.

    Notes
    -----
    A source mark is (topic, partition, offset, line, n): the n-th thing said of that line. A replay says
    the same under the same marks.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.now = 0.0
        """Record time in seconds."""
        self.offset = -1
        self.lag = InputLag()
        """How late what is judged reaches the owner."""
        self._out: list[Output] = []
        self._src: Src = (INBOX, number, -1, -1, 0)

    def begin(self, offset: int, now: float, line: int = -1) -> None:
        """The record that is spoken of next, or one of its lines."""
        self.offset, self.now = offset, now
        self._src = (INBOX, self.number, offset, line, 0)

    @property
    def src(self) -> Src:
        """Of the line that is spoken of."""
        return self._src

    def take(self) -> Src:
        """The next source mark."""
        topic, number, offset, line, n = self._src
        self._src = (topic, number, offset, line, n + 1)
        return (topic, number, offset, line, n)

    def put(self, output: Output) -> None:
        self._out.append(output)

    def collected(self) -> list[Output]:
        """All that was said since the last time."""
        out, self._out = self._out, []
        return out

    def signal(
        self, agent: AgentState, step: Step | Run | None, incident: bool, **said: Any
    ) -> None:
        """A signal about a step, or about the agent alone; with `incident`, its owner hears of it."""
        src = self.take()
        if step is not None:
            events = named(step)
            said = {"first_event": events[0], "last_event": events[-1], **said}
            said = {"trace_id": step.trace_id, **said}
            if isinstance(step, Step):
                said = {"step_id": step.step_id, "tool": step.tool, **said}
                said |= {"model": step.model, "bundle": step.bundle}
        signal = Signal(
            src=src, signal_id=name("sig", src), tenant=agent.tenant,
            agent_id=agent.agent_id, at=round(self.now, 3), rank=ranking.rank(said),
            **alarm.completed(said),
        )  # fmt: skip
        key = wire.agent_key(agent.tenant, agent.agent_id)
        self.put(Line(SIGNALS, key, codec.SIGNALS, codec.encode(signal)))
        if incident:
            agent.alarmed(signal.signal_id, signal.detector)
            owner, run = agent.file.owner, agent.runs.get(signal.trace_id)
            summary = Summary(
                src=self.take(), signal=signal, owner=owner.name, routes=list(owner.routes),
                suspect=None if run is None else run.suspect,
            )  # fmt: skip
            self.put(Line(FLEET, "", codec.SUMMARIES, codec.encode(summary)))

    def reopened(self, agent: AgentState) -> None:
        """An agent failed its trial: it counts again towards the blast radius."""
        again = Reopened(src=self.take(), tenant=agent.tenant, agent_id=agent.agent_id)
        self.put(Line(FLEET, "", codec.SUMMARIES, codec.encode(again)))


def name(prefix: str, src: Src) -> str:
    """An id that a replay gives again: from where the record was computed."""
    return f"{prefix}-{src[1]}.{src[2]}.{src[3]}.{src[4]}"


def emitted_at(fact: Step | Run) -> int:
    """When its last event was emitted, as the agent claims: µs UTC."""
    if isinstance(fact, Run):
        return fact.emitted_at
    return fact.completed_at or fact.requested_at


def named(step: Step | Run) -> tuple[str, ...]:
    """Event ids of a step or of a run's end, first to last."""
    if isinstance(step, Run):
        return (step.event_id,)
    return tuple(event_id for event_id in (step.request_id, step.result_id) if event_id) or ("",)
