"""What a difference between an agent's claims and its trace's record means: which weighs, what follows. Pure.

Join has counted (`join/claims.py`). Here the agent's file says which tools write, and the detector weighs.
"""

from collections.abc import Iterable, Iterator, Sequence

from detectors import Divergence
from ingest.records import Account, Run, Step
from stream import sentences
from stream.agent.agent_state import AgentState, RunState
from stream.agent.breaker import Tripped
from stream.agent.finding import Finding

NAME = "divergence"
TOLD_MAX = 4  # tools that one finding names


def requested(agent: AgentState, step: Step) -> Iterator[Finding]:
    """A run goes on after it has claimed what is not so: it is stopped before it does more."""
    if not step.claims or agent.run(step.trace_id).shadow_of:
        return
    found = _weighed(agent, step.claims, step.lost)
    if found.fires:
        words, evidence = _told(found, step.claims, step.lost)
        yield Finding(NAME, words, evidence, "run", Tripped(auto_close=False))


def run_ended(agent: AgentState, run: RunState | None, fact: Run) -> Iterator[Finding]:
    """A run has ended, or its trace some time ago: nothing is left to stop, but people hear of it.

    A shadow's calls are not executed, whatever it believes. What has stopped the run is not told again.
    """
    _learn(agent, fact.claims)
    if not fact.claims or (run is not None and run.shadow_of):
        return
    found = _weighed(agent, fact.claims, fact.lost)
    stopped = run is not None and run.signals.get(NAME) == "stop-run"
    if (found.fires or found.warns) and not (stopped and not found.gravest):
        words, evidence = _told(found, fact.claims, fact.lost)
        yield Finding(
            NAME, words, evidence, warning=not found.fires, pages=found.fires,
            weight="critical" if found.gravest else "",
        )  # fmt: skip


def _learn(agent: AgentState, claims: Iterable[Account]) -> None:
    """An agent that claims one write tells its writes; what it leaves out from then on is hidden."""
    agent.claims_writes |= any(
        one.claimed and agent.file.access(one.tool) != "read" for one in claims
    )


def _weighed(agent: AgentState, claims: Sequence[Account], lost: int) -> Divergence:
    found = Divergence()
    found.update((kind for one in claims for kind in _differences(agent, one)), lost > 0)
    return found


def _differences(agent: AgentState, one: Account) -> Iterator[tuple[str, int]]:
    writes = agent.file.access(one.tool) != "read"
    # Who read twice and says three times has miscounted; who never looked has made it up.
    yield "not_executed" if writes or not one.done else "count", one.missing
    yield "false_success", one.false
    yield "arguments", one.args
    yield "result", one.results
    yield "status", one.flipped
    if writes and agent.registered:  # without a file nobody knows which tools write
        yield "unclaimed_write" if agent.claims_writes else "unclaimed", one.unclaimed


def _told(found: Divergence, claims: Sequence[Account], lost: int) -> tuple[str, dict[str, object]]:
    evidence = found.evidence() | {
        "records": [_both(one) for one in sorted(claims, key=_gravity, reverse=True)[:TOLD_MAX]],
        "lost": lost,
    }  # fmt: skip
    return sentences.divergence(evidence), evidence


def _both(one: Account) -> dict[str, object]:
    """Both records of one tool, side by side; what is 0 is left out."""
    parts = {name: getattr(one, name) for name in one.__struct_fields__}
    return {name: value for name, value in parts.items() if value or name in ("claimed", "done")}


def _gravity(one: Account) -> int:
    return one.missing + one.false + one.flipped + one.args + one.results + one.unclaimed
