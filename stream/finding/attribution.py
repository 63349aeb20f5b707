"""Where a failed run may have gone wrong first: one candidate, agent and step. Pure.

The earliest step with evidence, of the agent with the largest share of it (D36). A candidate is a place to
begin to read, not what made the run fail: the best published methods name the step in one run of seven.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf

import msgspec

from detectors import CATALOGUE
from ingest.records import Summary

PREFIX = "trace:"
# Pieces kept of a trace, the first ones: later ones weigh less and less.
PIECES_MAX = 32
# Traces with an alarm within the hour; a new one beyond it gets no candidate.
TRACES_MAX = 2000
TRACE_SECONDS = 3600.0  # so long after its last alarm a trace is remembered


class Piece(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """One piece of evidence against a step: `at` orders the steps of a run."""

    at: float
    agent_id: str
    step_id: str
    detector: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """An agent and its earliest step with evidence; `share` of all the evidence, `pieces` in all."""

    agent_id: str
    step_id: str
    share: float
    pieces: int


def candidate(pieces: Iterable[Piece]) -> Candidate | None:
    """The candidate that follows from what was found in a run; None without any evidence.

    Notes
    -----
    The k-th step with evidence counts 1/k: it may follow from any of the k - 1 before it. So the first one
    stands unless others weigh more together than what was first, and an agent that suffers under an error
    for long does not outweigh the one that made it. Equal shares are the earlier agent's.

    >>> found = [Piece(2.0, "search", "s2", "error_rate"), Piece(5.0, "writer", "s5", "exact_loop")]
    >>> candidate(found)
    Candidate(agent_id='search', step_id='s2', share=0.6666666666666666, pieces=2)
    """
    weights: dict[str, float] = {}
    first: dict[str, Piece] = {}
    told = sorted(
        pieces, key=lambda piece: piece.at
    )  # stable: the order of arrival where times are equal
    ranks: dict[tuple[str, str], int] = {}
    for piece in told:
        rank = ranks.setdefault((piece.agent_id, piece.step_id), len(ranks) + 1)
        first.setdefault(piece.agent_id, piece)
        weights[piece.agent_id] = weights.get(piece.agent_id, 0.0) + 1 / rank
    if not told:
        return None
    agent_id = max(weights, key=lambda name: weights[name])  # the first of equals
    share = weights[agent_id] / sum(weights.values())
    return Candidate(agent_id, first[agent_id].step_id, share, len(told))


def weighs(severity: str) -> bool:
    """Whether a finding is evidence against its step: what is merely noted is normal in good runs too."""
    return severity not in ("info", "low")


class TraceState(msgspec.Struct, array_like=True, tag="trace"):
    """What was found in one trace, by whichever agents; at most 3 kB."""

    pieces: list[Piece] = []
    last: int = 0
    deadline: float = inf

    def take(self, found: Iterable[Piece], now: float) -> None:
        """What one more alarm tells. Said twice it counts once."""
        known = {(one.agent_id, one.step_id, one.detector) for one in self.pieces}
        for piece in found:
            name = (piece.agent_id, piece.step_id, piece.detector)
            if name not in known and len(self.pieces) < PIECES_MAX:
                known.add(name)
                self.pieces.append(piece)
        self.deadline = now + TRACE_SECONDS


def evidence(told: Summary) -> list[Piece]:
    """Of an alarm: what was found first in its run, and itself."""
    signal, found = told.signal, list[Piece]()
    if told.suspect is not None:
        at, step_id, detector = told.suspect
        found.append(Piece(at, signal.agent_id, step_id, detector))
    if signal.step_id and signal.detector in CATALOGUE and weighs(signal.severity):
        found.append(Piece(signal.at, signal.agent_id, signal.step_id, signal.detector))
    return found


def trace_key(told: Summary) -> str:
    """The key of an alarm's trace; empty where it has none."""
    signal = told.signal
    return f"{PREFIX}{signal.tenant}/{signal.trace_id}" if signal.trace_id else ""
