"""Agents that hand the same to and fro: three times warn, four stop. Pure."""

from collections.abc import Iterator

from detectors import PingPong
from ingest.records import Step
from stream import sentences
from stream.agent.breaker import Tripped
from stream.agent.finding import Finding

NAME = "ping_pong"


def passed(step: Step) -> Iterator[Finding]:
    """A handoff that came before: three times warn, four stop."""
    if step.crew is None:
        return
    game = PingPong()
    game.update(max(step.crew.repeats, step.crew.count), step.agents)
    if not game.fires and not game.warns:
        return
    evidence = game.evidence() | {"period": step.crew.period}
    words = sentences.ping_pong(evidence)
    event = Tripped(auto_close=False) if game.fires else None
    target = "run" if game.fires else None
    yield Finding(NAME, words, evidence, target, event, warning=game.warns)  # type: ignore[arg-type]
