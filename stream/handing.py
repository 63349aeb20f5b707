"""Handoffs of a trace: what each is about, and whether agents hand the same to and fro. Pure."""

from collections.abc import Iterator, Sequence
from hashlib import blake2b

from detectors import PingPong
from ingest.records import Step
from stream import sentences
from stream.breaker import Tripped
from stream.finding import Finding
from tracefuse.events import Event

NAME = "ping_pong"


def handed(event: Event, step: Step, calls: Sequence[str]) -> str:
    """What makes two handoffs the same: from whom to whom, with which reasoning, after which call."""
    to = str(event.attrs.get("to", ""))[:256]
    last = calls[-1] if calls else ""
    thoughts = [
        f"{ref.name}:{ref.sketch}" for ref in (*step.reasoning, *step.context) if ref.sketch
    ]
    about = "\n".join((event.agent_id, to, event.args_hash, last, *thoughts))
    return blake2b(about.encode(errors="replace"), digest_size=4).hexdigest()


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
