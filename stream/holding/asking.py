"""Calls that wait for a person, as the agent's owner keeps them: asked, answered, or nobody came. Pure."""

from math import inf

from ingest import codec
from ingest.records import Decided, Outcome, Step, Wanted
from ingest.topics import APPROVALS
from stream import sentences
from stream.agent.agent_state import AgentState
from stream.agent.agreements import Agreed, Pending
from stream.agent.saying import Saying
from stream.holding import approving
from stream.holding.policy import Ruling
from stream.outputs import Answer, Line
from tracefuse import wire
from tracefuse.signing import CommandVerifier


class Asking:
    """Approvals of the agents of one partition.

    Parameters
    ----------
    saying
        Takes what follows.
    verifier
        Checks what people answered.
    """

    def __init__(self, saying: Saying, verifier: CommandVerifier) -> None:
        self._saying, self._verifier = saying, verifier

    def want(self, agent: AgentState, step: Step, ruling: Ruling, approval_id: str) -> None:
        """Ask people about a call."""
        now = self._saying.now
        one = approving.pending(agent.file, step, ruling, approval_id, now)
        if len(agent.pending) >= approving.PENDING_MAX:
            self._answered(agent, next(iter(agent.pending.values())), "expired")
        agent.pending[approval_id] = one
        self._approval(agent, approving.wanted(one, step, ruling, self._saying.take(), now))

    def carry(self, agent: AgentState, step: Step, approval_id: str) -> None:
        """A yes that was not enough counts along with the next one: its rule need not ask again."""
        assert step.held is not None
        one, used = agent.pending[approval_id], agent.agreed.get(step.held.approval_id)
        if used is not None and used.fits(one.tool, one.args_hash, self._saying.now):
            del agent.agreed[step.held.approval_id]  # used once
            one.agreed |= used.by

    def decided(self, agent: AgentState, fact: Decided) -> None:
        """A person's answer; one that does not count changes nothing and is told."""
        now, one = self._saying.now, agent.pending.get(fact.approval_id)
        decision = approving.decide(one, fact, self._verifier, now)
        if isinstance(decision, str) or one is None:
            self._saying.signal(
                agent, None, incident=False, detector="approval", evidence_class="rule",
                severity="medium", action="log", sentence=sentences.void_answer(str(decision)),
                evidence={
                    "approval_id": fact.approval_id[:128], "kid": fact.kid[:128],
                    "observed": str(decision),
                },
            )  # fmt: skip
            return
        if decision.approved:
            by = one.agreed | {decision.by: one.expires}
            agent.agreed[one.approval_id] = Agreed(one.tool, one.args_hash, one.expires, by)
            if len(agent.agreed) > approving.PENDING_MAX:
                del agent.agreed[next(iter(agent.agreed))]
        word = "approved" if decision.approved else "refused"
        self._answered(agent, one, word, decision.by, decision.reason, fact.kid)

    def passed(self, agent: AgentState) -> None:
        """Time passes and nobody answers: first the owner hears of it, then the answer is no."""
        now = self._saying.now
        for one in list(agent.pending.values()):
            if one.expires <= now:
                self._answered(agent, one, "expired")
            elif one.escalates <= now:
                one.escalates = inf
                self._saying.signal(
                    agent, None, incident=True, detector="approval", evidence_class="rule",
                    severity="high", action="step-up", tool=one.tool, trace_id=one.trace_id,
                    sentence=sentences.unattended(one.tool, one.approval_id),
                    evidence={
                        "approval_id": one.approval_id, "approvers": list(one.approvers),
                        "observed": "no answer",
                    },
                )  # fmt: skip

    def _answered(
        self,
        agent: AgentState,
        one: Pending,
        word: str,
        by: str = "",
        reason: str = "",
        kid: str = "",
    ) -> None:
        """The waiting is over: for the record, and for the process that waits."""
        agent.pending.pop(one.approval_id, None)
        now = self._saying.now
        self._approval(
            agent, approving.outcome(one, word, self._saying.take(), now, by, reason, kid)
        )
        self._saying.put(
            Answer(approving.note(agent, one, word, by, reason, self._saying.take()), one.kid)
        )

    def _approval(self, agent: AgentState, record: Wanted | Outcome) -> None:
        key = wire.agent_key(agent.tenant, agent.agent_id)
        self._saying.put(Line(APPROVALS, key, codec.APPROVALS, codec.encode(record)))
