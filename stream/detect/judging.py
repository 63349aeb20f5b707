"""Incidents, judged by people: each word is checked, counted by detector, and put on record. Pure.

    alarm ─► Incident ─► a person looks ─► signed IncidentReview ─► the agent's owner checks ─► IncidentLabel

The counts weigh how many alarms a detector may raise (`AlarmBudget`): who could forge them could silence it.
The agent's owner takes a word only with a person's key, about an alarm that it raised itself.
"""

from collections.abc import Mapping

import msgspec

from ingest import codec
from ingest.records import IncidentLabel, IncidentReview, IncidentReviewed, Src
from ingest.topics import APPROVALS
from stream import sentences
from stream.agent.agent_state import AgentState
from stream.agent.agreements import Alarm
from stream.agent.saying import Saying
from stream.agent.spoken import NAME_CHARACTERS_MAX, opened, outdated
from stream.finding import drifting
from stream.outputs import Line
from tracefuse import wire
from tracefuse.signing import CommandVerifier

LABELS = ("real", "false", "expected")
REASON_CHARACTERS_MAX = 1000  # some sentences: a label is no report
_decode = msgspec.json.Decoder(IncidentReview).decode


def record_key(tenant: str, agent_id: str, incident_id: str) -> str:
    """What a word on an incident is signed together with."""
    return f"incident:{tenant}/{agent_id}/{incident_id}"


def recounted(counts: tuple[int, int, int], before: str, after: str) -> tuple[int, int, int]:
    """The counts of a detector once the word on one of its incidents has changed.

    >>> recounted((1, 0, 0), "", "false"), recounted((1, 1, 0), "false", "expected")
    ((1, 1, 0), (1, 0, 1))
    """
    real, false, expected = (
        count + (name == after) - (name == before)
        for name, count in zip(LABELS, counts, strict=True)
    )
    return real, false, expected


def judge(
    alarms: Mapping[str, Alarm], fact: IncidentReviewed, verifier: CommandVerifier
) -> IncidentReview | str:
    """A person's word on one of these alarms, or in words why it does not count."""
    key = record_key(fact.tenant, fact.agent_id, fact.incident_id)
    review = opened(fact, key, _decode, verifier)
    if isinstance(review, str):
        return review
    alarm = alarms.get(review.signal_id)
    if alarm is None:
        return "no such alarm was raised, or it was forgotten for newer ones"
    if (review.incident_id, review.detector) != (fact.incident_id, alarm.detector):
        return "it is about another alarm"
    if not 0 < len(review.by) <= NAME_CHARACTERS_MAX:
        return "it names nobody, or at too great length"
    if not 0 < len(review.reason) <= REASON_CHARACTERS_MAX:
        return "it gives no reason, or too long a one"
    return outdated(review.by, review.at, alarm.judged) or review


class Judging:
    """Words on incidents of the agents of one partition.

    Parameters
    ----------
    saying
        Takes what follows.
    verifier
        Checks what people say.
    """

    def __init__(self, saying: Saying, verifier: CommandVerifier) -> None:
        self._saying, self._verifier = saying, verifier

    def judged(self, agent: AgentState, fact: IncidentReviewed) -> None:
        """A person's word on an incident; one that does not count changes nothing and is told."""
        review = judge(agent.raised, fact, self._verifier)
        if isinstance(review, str):
            self._saying.signal(
                agent, None, incident=False, detector="judgement", evidence_class="rule",
                severity="medium", action="log", sentence=sentences.void_judgement(review),
                evidence={
                    "record_id": fact.record_id[:128], "incident_id": fact.incident_id[:128],
                    "kid": fact.kid[:128], "observed": review,
                },
            )  # fmt: skip
            return
        alarm = agent.raised[review.signal_id]
        counts = agent.labelled.get(alarm.detector, (0, 0, 0))
        agent.labelled[alarm.detector] = recounted(counts, alarm.label, review.label)
        _weigh(agent, alarm.detector)
        if review.label == "expected" and alarm.detector == drifting.NAME:
            drifting.accepted(agent)
        alarm.label = review.label
        alarm.judged[review.by] = review.at
        record = label(agent, fact, review, self._saying.take(), self._saying.now)
        key = wire.agent_key(agent.tenant, agent.agent_id)
        self._saying.put(Line(APPROVALS, key, codec.APPROVALS, codec.encode(record)))


def _weigh(agent: AgentState, detector: str) -> None:
    """Let the detector's part of the alarm budget follow; rules and versions have none."""
    account = agent.alarms.accounts.get(detector)
    if account is not None:
        account.right, account.wrong, _ = agent.labelled[detector]


def label(
    agent: AgentState, fact: IncidentReviewed, review: IncidentReview, src: Src, now: float
) -> IncidentLabel:
    """A person's word that counts, for the record, with the detector's counts after it."""
    real, false, expected = agent.labelled[review.detector]
    return IncidentLabel(
        src=src, tenant=agent.tenant, agent_id=agent.agent_id, incident_id=review.incident_id,
        signal_id=review.signal_id, detector=review.detector, label=review.label, by=review.by,
        reason=review.reason, kid=fact.kid, said_at=review.at, real=real, false=false,
        expected=expected, at=round(now, 3),
    )  # fmt: skip
