"""A person judges an allowed call afterwards. Needs the broker; the agent's owner decides what counts.

tracefuse review CALL ──► agent.inbox.v1, signed ──► worker ──► agent.approvals.v1, or a signal why not
"""

import msgspec

from ingest import codec
from ingest.keys import Keys
from ingest.records import Judgement, Label, Review, Reviewed, Sampled
from ingest.settings import Settings
from stream.agent.spoken import NAME_CHARACTERS_MAX
from stream.detect.reviewing import NOTE_CHARACTERS_MAX, record_key
from stream.people.telling import NotCounted, tell
from tracefuse.clock import now_us


async def judge(
    settings: Settings, keys: Keys, call: Sampled, label: Judgement, by: str, note: str = ""
) -> Label:
    """Sign a label and send it; returns once the agent's owner has taken it.

    Parameters
    ----------
    call
        As it was put aside: the label is bound to its tool and arguments.

    Raises
    ------
    NotCounted
        To the person: who asked may not judge, or it is too long, or no worker runs.
    """
    if by == call.user_id:
        raise NotCounted("who asked may not judge")
    if not 0 < len(by) <= NAME_CHARACTERS_MAX or len(note) > NOTE_CHARACTERS_MAX:
        raise NotCounted(
            f"a name has 1 to {NAME_CHARACTERS_MAX} characters, a note at most {NOTE_CHARACTERS_MAX}"
        )
    fact = reviewed(keys, call, label, by, note)
    return await tell(
        settings, fact, Label, lambda found: _about(found, fact), f"the label of {call.call_id}"
    )


def reviewed(keys: Keys, call: Sampled, label: Judgement, by: str, note: str) -> Reviewed:
    """The signed label as it enters the agent's inbox."""
    review = Review(
        trace_id=call.trace_id, call_id=call.call_id, tool=call.tool, args_hash=call.args_hash,
        label=label, by=by, note=note, at=now_us(),
    )  # fmt: skip
    payload, signer = codec.encode(review), keys.signer("human")
    sig = signer.sign(record_key(call.tenant, call.agent_id, call.trace_id, call.call_id), payload)
    return Reviewed(
        record_id=f"rev-{sig.hex()[:32]}", tenant=call.tenant, agent_id=call.agent_id,
        trace_id=call.trace_id, call_id=call.call_id, kid=signer.kid, sig=sig, payload=payload,
    )  # fmt: skip


def _about(found: Label, fact: Reviewed) -> bool:
    review = msgspec.json.decode(fact.payload, type=Review)
    return (found.tenant, found.agent_id, found.trace_id, found.call_id, found.by, found.said_at) == (
        fact.tenant, fact.agent_id, review.trace_id, review.call_id, review.by, review.at,
    )  # fmt: skip
