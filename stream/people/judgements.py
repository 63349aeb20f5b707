"""A person judges an incident. Needs the broker; the agent's owner decides what counts.

tracefuse incidents judge ──► agent.inbox.v1, signed ──► worker ──► agent.approvals.v1, or a signal why not
"""

import msgspec

from ingest import codec
from ingest.keys import Keys
from ingest.records import Incident, IncidentLabel, IncidentReview, IncidentReviewed, Truth
from ingest.settings import Settings
from stream.agent.spoken import NAME_CHARACTERS_MAX
from stream.detect.judging import REASON_CHARACTERS_MAX, record_key
from stream.people.telling import NotCounted, tell
from tracefuse.clock import now_us


async def judge(
    settings: Settings, keys: Keys, incident: Incident, label: Truth, by: str, reason: str
) -> IncidentLabel:
    """Sign a word on an incident and send it; returns once the agent's owner has taken it.

    Raises
    ------
    NotCounted
        To the person: the alarm is too old, or the text too long, or no worker runs.
    """
    if not incident.agent_id:
        raise NotCounted(
            f"{incident.incident_id} is of several agents of {incident.tenant}: judge those of its agents"
        )
    if not 0 < len(by) <= NAME_CHARACTERS_MAX or not 0 < len(reason) <= REASON_CHARACTERS_MAX:
        raise NotCounted(
            f"a name has 1 to {NAME_CHARACTERS_MAX} characters, a reason 1 to {REASON_CHARACTERS_MAX}"
        )
    fact = reviewed(keys, incident, label, by, reason)
    said = msgspec.json.decode(fact.payload, type=IncidentReview)

    def about(found: IncidentLabel) -> bool:
        return (found.agent_id, found.signal_id, found.by, found.said_at) == (
            fact.agent_id, said.signal_id, said.by, said.at,
        )  # fmt: skip

    return await tell(settings, fact, IncidentLabel, about, f"the word on {incident.incident_id}")


def reviewed(
    keys: Keys, incident: Incident, label: Truth, by: str, reason: str
) -> IncidentReviewed:
    """The signed word as it enters the agent's inbox."""
    review = IncidentReview(
        incident_id=incident.incident_id, signal_id=incident.signal_id, detector=incident.detector,
        label=label, by=by, reason=reason, at=now_us(),
    )  # fmt: skip
    payload, signer = codec.encode(review), keys.signer("human")
    key = record_key(incident.tenant, incident.agent_id, incident.incident_id)
    sig = signer.sign(key, payload)
    return IncidentReviewed(
        record_id=f"inr-{sig.hex()[:32]}", tenant=incident.tenant, agent_id=incident.agent_id,
        incident_id=incident.incident_id, kid=signer.kid, sig=sig, payload=payload,
    )  # fmt: skip
