"""One held call: asked, judged once, reserved for, answered. Pure.

There is one verdict for each (call, attempt), however often it is asked for; asking again gives the same.
A call that ran with its leave and asks once more, under the id that it had, is another call.
"""

from typing import NamedTuple

from ingest.records import Src, Step
from stream.agent.agent_state import AgentState
from stream.agent.budgets import most
from stream.holding import policy
from stream.holding.policy import Ruling
from tracefuse import verdicts
from tracefuse.verdicts import Verdict

VERDICTS_KEPT = 1024  # of one agent; an asking older than so many others has long met its deadline
FAILED_KEPT = 64  # failed calls that a run remembers, to count their repeats
EXPIRED = Ruling("deny", "deadline", "the request came after its deadline")


class Held(NamedTuple):
    """What became of one asking. `ruling` is None where it was judged before."""

    verdict: Verdict
    ruling: Ruling | None


def answer(agent: AgentState, step: Step, now: float, src: Src) -> Held:
    """The verdict of a request, and what follows for the agent's ledger.

    Parameters
    ----------
    step
        A request with `held` set.
    now
        Record time of the inbox, s; the deadline counts from the request's own record.
    src
        Mark of the verdict, should it be a new one.
    """
    asked = step.held
    assert asked is not None
    name = f"{step.step_id}/{asked.attempt}"
    known = agent.verdicts.get(name)
    if known is not None:
        before = verdicts.decode(known)
        if before.word != "allow" or step.step_id in agent.ledger.reserved:
            return Held(before, None)
        del agent.verdicts[name]  # that leave was used, or its time is over
    late = now > step.at + asked.deadline_ms / 1000
    judged = EXPIRED if late else policy.judge(agent, step, now)
    ruling = policy.shadowed(agent, step, judged)
    if ruling.word == "allow":
        expires = now + agent.file.timeout(step.tool)
        agent.ledger.reserve(step.step_id, step.trace_id, most(agent.file, step.tool), expires)
        agent.agreed.pop(asked.approval_id, None)  # used once
    approval_id = ""
    if ruling.word == "needs_approval":
        approval_id = _waiting(agent, step) or _approval_id(src)
    verdict = Verdict(
        call_id=step.call_id, attempt=asked.attempt, tenant=agent.tenant, agent_id=agent.agent_id,
        trace_id=step.trace_id, boot_id=asked.reply_to, word=ruling.word, gate=ruling.gate,
        reason=ruling.reason, src=src,
        approval_id=approval_id,
    )  # fmt: skip
    agent.verdicts[name] = verdicts.encode(verdict)
    if len(agent.verdicts) > VERDICTS_KEPT:
        del agent.verdicts[next(iter(agent.verdicts))]
    return Held(verdict, ruling)


def ended(agent: AgentState, step: Step, now: float) -> None:
    """A call has completed, held or not: settle what it cost, or release what was set aside for it."""
    run = agent.runs.get(step.trace_id)
    if step.status == "not_run":
        agent.ledger.release(step.step_id)
        return
    tokens = step.input_tokens + step.output_tokens
    agent.ledger.settle(step.step_id, step.trace_id, step.cost_usd, tokens, now)
    if run is None or step.action != "tool":
        return
    key = policy.repeat_key(step)
    if step.status == "error":
        run.failed[key] = run.failed.pop(key, 0) + 1
        if len(run.failed) > FAILED_KEPT:
            del run.failed[next(iter(run.failed))]
    else:
        run.failed.pop(key, None)


def _waiting(agent: AgentState, step: Step) -> str:
    """Id of the approval that this very call of the run waits for already; whoever asks last is told."""
    assert step.held is not None
    for one in agent.pending.values():
        if (one.trace_id, one.tool, one.args_hash) == (step.trace_id, step.tool, step.args_hash):
            one.call_id, one.reply_to, one.kid = step.call_id, step.held.reply_to, step.held.kid
            return one.approval_id
    return ""


def _approval_id(src: Src) -> str:
    return f"apr-{src[1]}.{src[2]}.{src[3]}.{src[4]}"
