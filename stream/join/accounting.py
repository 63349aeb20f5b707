"""When an agent's claims are held against what its trace has done, as soon as nothing can change it. Pure.

next call of the run ──► what is claimed and is not so, as far as all of it was heard
end of the run ────────► the same, and what was done and is not claimed
60 s after the trace ──► where others had a part in it, or a call had not ended by then
"""

from ingest.records import Account
from stream.join.trace_state import Trace
from tracefuse.events import Event

Found = tuple[list[Account], int]
"""By tool, and how many events of the run were lost: then the record may be what is wrong."""


def checked(trace: Trace, agent_id: str) -> Found:
    """At the next call: only what is wrong, and only where one process tells all, in its own order."""
    conduct = trace.member(agent_id).conduct
    conduct.news = False
    if len(trace.producers) > 1:
        return [], 0
    return [one for one in trace.accounts(agent_id, ended=False) if _wrong(one)], conduct.lost


def concluded(trace: Trace, event: Event) -> Found:
    """At the end of a run; nothing yet where a later event could still explain what does not fit."""
    conduct = trace.member(event.agent_id).conduct
    conduct.missed(event)
    found = trace.accounts(event.agent_id, ended=True)
    open_calls = any(
        action.step.phase == "request"
        for producer in trace.producers.values() for action in producer.actions
    )  # fmt: skip
    if any(map(_differs, found)) and (open_calls or len(trace.producers) > 1):
        trace.unsettled[event.agent_id] = (event.event_id, event.emitted_at)
        return [], 0
    lost = conduct.lost
    conduct.ended()
    return found, lost


def settled(trace: Trace, agent_id: str) -> Found:
    """At the end of the trace's life: whatever was under way is known, or never will be."""
    return trace.accounts(agent_id, ended=True), trace.member(agent_id).conduct.lost


def _wrong(one: Account) -> bool:
    return bool(one.missing or one.false or one.flipped or one.args or one.results)


def _differs(one: Account) -> bool:
    return _wrong(one) or one.unclaimed > 0
