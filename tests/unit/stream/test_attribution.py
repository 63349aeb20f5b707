"""Candidates: where a failed run may have gone wrong first, from what was found in its trace."""

from typing import Any

import pytest

from ingest import codec
from ingest.records import Incident, Signal, Summary
from ingest.topics import FLEET, INCIDENTS
from stream.alerts.notice import of_one
from stream.correlate.correlate import Correlate
from stream.finding import attribution
from stream.finding.attribution import PIECES_MAX, TRACE_SECONDS, Piece, candidate
from stream.outputs import Line
from stream.sink.columns import COLUMNS
from tests.fleet import Fleet
from tests.pipe import START, TENANT, TRACE, VERIFIER, Pipe, Told, found, summaries
from tracefuse import wire

SUMMARY_KIND = [(wire.KIND, codec.SUMMARIES)]


class Case:
    """Correlate alone, told of alarms in traces."""

    def __init__(self) -> None:
        self.core, self.now, self.offset = Correlate(0, VERIFIER), START, -1

    def alarm(self, agent_id: str, step_id: str, trace_id: str = TRACE, **more: Any) -> Incident:
        """The incident that follows from one alarm."""
        self.offset += 1
        said: dict[str, Any] = {
            "signal_id": f"sig-{self.offset}", "tenant": TENANT, "agent_id": agent_id, "at": self.now,
            "trace_id": trace_id, "step_id": step_id, "detector": "exact_loop", "severity": "high",
            "evidence_class": "rule", "action": "stop-run", "sentence": "Again.",
        } | more  # fmt: skip
        suspect = said.pop("suspect", None)
        told = Summary(src=("in", 0, self.offset, 0, 0), signal=Signal(**said), suspect=suspect)
        out = self.core.apply(self.offset, self.now, SUMMARY_KIND, codec.encode(told))
        incidents: list[Incident] = found(out, INCIDENTS, Incident)
        (incident,) = incidents
        return incident

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.offset += 1
        self.core.apply(self.offset, self.now, [(wire.KIND, codec.TICK)], b"{}")


def test_the_earliest_step_of_the_agent_with_most_evidence() -> None:
    """Who is first stands, until others together weigh more; order of arrival does not matter."""
    first = Piece(1.0, "search", "s1", "exact_loop")
    later = [Piece(float(n), "writer", f"s{n}", "error_rate") for n in (2, 3, 4)]

    assert (one := candidate([later[0], first])) and (one.agent_id, one.step_id) == ("search", "s1")
    assert (two := candidate([first, *later])) and (two.agent_id, two.step_id) == ("writer", "s2")
    assert candidate([]) is None


def test_two_findings_about_one_step_are_one_place() -> None:
    """A second detector on the same step takes no weight from it and none from what follows."""
    twice = [Piece(1.0, "a", "s1", "exact_loop"), Piece(1.0, "a", "s1", "error_rate")]
    told = candidate([*twice, Piece(2.0, "b", "s2", "error_rate")])

    assert told is not None
    assert (told.agent_id, told.pieces) == ("a", 3)
    assert told.share == pytest.approx(2 / 2.5)


def test_an_incident_names_another_agents_earlier_step() -> None:
    """The second agent of a trace alarms; its incident points at the first one's step."""
    case = Case()
    case.alarm("search", "s1")
    case.wait(5.0)
    incident = case.alarm("writer", "s7")

    assert (incident.candidate_agent, incident.candidate_step) == ("search", "s1")
    assert incident.candidate_share == pytest.approx(2 / 3, abs=1e-3)
    assert "candidate: agent search, step s1, 67%" in of_one(incident).body
    assert "cause" not in of_one(incident).body


def test_traces_are_kept_apart() -> None:
    """Control: the same two alarms in two traces point at themselves."""
    case = Case()
    case.alarm("search", "s1")

    assert case.alarm("writer", "s7", trace_id="f" * 32).candidate_agent == "writer"


def test_evidence_that_alarmed_nobody_counts() -> None:
    """What was found first in the run is told with its first alarm."""
    incident = Case().alarm("writer", "s7", suspect=(START - 60, "s2", "tainted_argument"))

    assert (incident.candidate_agent, incident.candidate_step) == ("writer", "s2")


def test_without_evidence_there_is_no_candidate() -> None:
    """An alarm about no step, one that is only noted, and one of no detector name nobody."""
    case = Case()
    for more in ({"step_id": ""}, {"severity": "low"}, {"detector": "registry"}):
        incident = case.alarm("writer", **({"step_id": "s1"} | more))

        assert (incident.candidate_agent, incident.candidate_step) == ("", "")
        assert "candidate" not in of_one(incident).body


def test_a_loop_points_at_its_first_warning() -> None:
    """Through detect: the stop at the fourth repeat names the step of the third, where it was told."""
    pipe = Pipe(START)
    told = Told()
    for n in range(4):
        pipe.send(*told.call(n, tool="crm.find", args_hash="a", result_hash="r"))
    (summary,) = [s for s in summaries(pipe.out) if s.signal.detector == "exact_loop"]

    assert summary.suspect is not None
    assert summary.suspect[2] == "exact_loop"
    assert summary.suspect[1] not in ("", summary.signal.step_id)


def test_candidates_survive_a_restart() -> None:
    """A restored correlate names the same candidate as one that lived on."""
    kept, lost = Case(), Case()
    for case in (kept, lost):
        case.alarm("search", "s1")
    snapshot = kept.core.freeze()
    while kept.core.partition.encode_some(snapshot):
        pass
    kept.core = Correlate(0, VERIFIER)
    kept.core.restore(
        snapshot.marker, {key: cell for key, cell in snapshot.cells.items() if cell is not None}
    )

    assert kept.alarm("writer", "s7") == lost.alarm("writer", "s7")


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of a trace, traces, and the time they are kept."""
    case = Case()
    for n in range(PIECES_MAX + 5):
        case.alarm("writer", f"s{n}")
    state = case.core.partition.get(f"{attribution.PREFIX}{TENANT}/{TRACE}")

    assert isinstance(state, attribution.TraceState)
    assert len(state.pieces) == PIECES_MAX
    case.wait(TRACE_SECONDS + 1)
    assert case.core.partition.get(f"{attribution.PREFIX}{TENANT}/{TRACE}") is None
    monkeypatch.setattr(case.core._attributing.room, "most", 1)
    assert case.alarm("writer", "s1").candidate_agent == "writer"
    assert case.alarm("writer", "s1", trace_id="f" * 32).candidate_agent == ""


def test_replay_names_the_same_candidates() -> None:
    """A fresh correlate on the same log says the same bytes."""
    fleet = Fleet(3)
    for name in fleet.names:
        fleet.fail(name)
    again = Correlate(0, VERIFIER)
    out = [said for record in fleet.logs[FLEET, 0] for said in again.apply(*record)]
    named = [one for one in fleet.incidents if one.candidate_step]

    assert out == fleet.wide
    assert [one.candidate_agent for one in named] == [one.agent_id for one in named]
    assert len(named) == 3
    assert isinstance(fleet.wide[0], Line)
    assert "candidate_step" in COLUMNS["incidents"]
