"""Allowed calls, looked at afterwards: a share is put aside, and people say whether it was right. Pure.

    allow ──► Sampled ──► a person looks ──► signed Review ──► the agent's owner checks ──► Label

A label decides nothing here. What is learned from labels later must not be taught by forgers, so the
owner checks each like an answer to a call that waits: a person's key, this very call, not by who asked.
"""

import hashlib

import msgspec

from ingest import codec
from ingest.records import Label, Review, Reviewed, Sampled, Src, Step
from ingest.topics import APPROVALS
from stream import sentences
from stream.agent.agent_state import AgentState
from stream.agent.agreements import Sampling
from stream.agent.saying import Saying
from stream.agent.spoken import NAME_CHARACTERS_MAX, opened, outdated
from stream.outputs import Line
from tracefuse import wire
from tracefuse.signing import CommandVerifier, packed

SAMPLED_MAX = 256  # allowed calls of one agent that can still be judged; the oldest is forgotten
NOTE_CHARACTERS_MAX = 1000  # some sentences: a label is no report
_decode = msgspec.json.Decoder(Review).decode


def record_key(tenant: str, agent_id: str, trace_id: str, call_id: str) -> str:
    """What a review is signed together with."""
    return f"review:{tenant}/{agent_id}/{trace_id}/{call_id}"


def chosen(call_id: str, src: Src, share: float) -> bool:
    """Whether an allowed call belongs to the share that somebody looks at.

    The same call is chosen again by every replay, and a larger share takes more calls, not others.

    Parameters
    ----------
    call_id
        As its agent named it.
    src
        Where the broker put the request: an agent picks its ids, and could pick such as are never chosen.
    share
        0 to 1.

    Examples
    --------
    >>> [chosen("call-1", ("agent.events.v1", 3, 100, 0, 0), share) for share in (0.0, 0.9, 1.0)]
    [False, True, True]
    """
    place = (str(part).encode() for part in src)
    drawn = hashlib.sha256(packed(call_id.encode(), *place)).digest()
    return int.from_bytes(drawn[:8]) < share * 2**64


def sampled(step: Step, src: Src, now: float) -> Sampled:
    """An allowed call as people read it. Its texts are bounded: no longer event passes the codec."""
    return Sampled(
        src=src, tenant=step.tenant, agent_id=step.agent_id, trace_id=step.trace_id,
        call_id=step.call_id, tool=step.tool, args_hash=step.args_hash,
        decision_args=step.decision_args, user_id=step.user_id, task_type=step.task_type,
        at=round(now, 3),
    )  # fmt: skip


def judge(one: Sampling | None, fact: Reviewed, verifier: CommandVerifier) -> Review | str:
    """The review of a fact, or in words why it is none."""
    key = record_key(fact.tenant, fact.agent_id, fact.trace_id, fact.call_id)
    review = opened(fact, key, _decode, verifier)
    if isinstance(review, str):
        return review
    if one is None:
        return "no such call was put aside for a review, or it was forgotten for newer ones"
    about = (review.trace_id, review.call_id, review.tool, review.args_hash)
    if about != (one.trace_id, one.call_id, one.tool, one.args_hash):
        return "it is about another call"
    if not 0 < len(review.by) <= NAME_CHARACTERS_MAX or len(review.note) > NOTE_CHARACTERS_MAX:
        return "it names nobody, or is too long"
    if review.by == one.requester:
        return "who asked may not judge"
    return outdated(review.by, review.at, one.judged) or review


def label(agent: AgentState, fact: Reviewed, review: Review, src: Src, now: float) -> Label:
    """A person's word that counts, for the record."""
    return Label(
        src=src, tenant=agent.tenant, agent_id=agent.agent_id, trace_id=review.trace_id,
        call_id=review.call_id, tool=review.tool, args_hash=review.args_hash, label=review.label,
        by=review.by, note=review.note, kid=fact.kid, said_at=review.at, at=round(now, 3),
    )  # fmt: skip


class Reviewing:
    """Reviews of the agents of one partition.

    Parameters
    ----------
    saying
        Takes what follows.
    verifier
        Checks what people say.
    """

    def __init__(self, saying: Saying, verifier: CommandVerifier) -> None:
        self._saying, self._verifier = saying, verifier

    def allowed(self, agent: AgentState, step: Step) -> None:
        """A held call was allowed: put it aside if it is chosen, once however often it asks."""
        name, share = _name(step.trace_id, step.call_id), agent.file.review_share
        if not share or name in agent.sampled or not chosen(step.call_id, step.src, share):
            return
        agent.sampled[name] = Sampling(
            step.trace_id, step.call_id, step.tool, step.args_hash, step.user_id
        )
        if len(agent.sampled) > SAMPLED_MAX:
            del agent.sampled[next(iter(agent.sampled))]
        self._record(agent, sampled(step, self._saying.take(), self._saying.now))

    def reviewed(self, agent: AgentState, fact: Reviewed) -> None:
        """A person's word on a call; one that does not count changes nothing and is told."""
        one = agent.sampled.get(_name(fact.trace_id, fact.call_id))
        review = judge(one, fact, self._verifier)
        if isinstance(review, str) or one is None:
            self._saying.signal(
                agent, None, incident=False, detector="review", evidence_class="rule",
                severity="medium", action="log", sentence=sentences.void_label(str(review)),
                evidence={
                    "record_id": fact.record_id[:128], "trace_id": fact.trace_id[:128],
                    "call_id": fact.call_id[:128], "kid": fact.kid[:128],
                    "observed": str(review),
                },
            )  # fmt: skip
            return
        one.judged[review.by] = review.at
        self._record(agent, label(agent, fact, review, self._saying.take(), self._saying.now))

    def _record(self, agent: AgentState, record: Sampled | Label) -> None:
        key = wire.agent_key(agent.tenant, agent.agent_id)
        self._saying.put(Line(APPROVALS, key, codec.APPROVALS, codec.encode(record)))


def _name(trace_id: str, call_id: str) -> str:
    return f"{trace_id}/{call_id}"
