"""Handoffs of a trace: what makes two of them the same. Pure."""

from collections.abc import Sequence
from hashlib import blake2b

from ingest.records import Step
from tracefuse.events import Event


def handed(event: Event, step: Step, calls: Sequence[str]) -> str:
    """What makes two handoffs the same: from whom to whom, with which reasoning, after which call."""
    to = str(event.attrs.get("to", ""))[:256]
    last = calls[-1] if calls else ""
    thoughts = [
        f"{ref.name}:{ref.sketch}" for ref in (*step.reasoning, *step.context) if ref.sketch
    ]
    about = "\n".join((event.agent_id, to, event.args_hash, last, *thoughts))
    return blake2b(about.encode(errors="replace"), digest_size=4).hexdigest()
