"""What a run's answer names and has met nowhere, held against the agent's earlier answers. Pure."""

from collections.abc import Iterator

from ingest.records import Run
from stream import sentences
from stream.agent.agent_state import AgentState, RunState
from stream.agent.finding import Finding

NAME = "unsupported_claim"
_ID = 2  # a made up id weighs as much as two numbers, which are often computed


def run_ended(agent: AgentState, run: RunState | None, fact: Run) -> Iterator[Finding]:
    """A run has answered. A stopped one is no example, and its answer nobody's."""
    told = fact.answer
    if told is None or fact.spooled or fact.probe or (run is not None and run.breaker.epoch):
        return
    usual = agent.answer(told.task)
    usual.update(_ID * told.ids + told.numbers, not told.called)
    if not usual.fires:
        return
    evidence = usual.evidence() | {
        "task": told.task, "ids": told.ids, "numbers": told.numbers,
        "values": [[one.klass, one.path, one.start, one.end] for one in told.values],
    }  # fmt: skip
    words = sentences.unsupported_claim(evidence)
    yield Finding(NAME, words, evidence, weight="medium" if told.ids else "")
