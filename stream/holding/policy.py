"""The gates that a held call passes, in their order; the first that does not let it through decides. Pure.

Each gate is a function of what the agent's owner knows and of the request, and answers with nothing
(pass), or with a word and a reason. What every gate said goes into the evidence.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from detectors import CATALOGUE
from ingest.records import Step
from ingest.rules import RuleError, rule
from stream.agent.agent_state import AgentState
from stream.agent.breaker import PROBES, Breaker, State
from stream.agent.budgets import most
from stream.finding import doubting, preceding
from tracefuse.grants import SHADOW
from tracefuse.verdicts import Word

OBSERVES, APPROVED, BOUNDED = 0, 1, 2  # levels of autonomy; 3 is free and never held


class Objection(NamedTuple):
    """What one gate says against a call."""

    word: Word
    reason: str
    rule: str = ""  # of approval: its name


class Ruling(NamedTuple):
    """What all gates together say; `passed` names those that let the call through."""

    word: Word
    gate: str = ""
    reason: str = ""
    rule: str = ""
    passed: tuple[str, ...] = ()


Gate = Callable[[AgentState, Step, float], Objection | None]


def deny(reason: str) -> Objection:
    return Objection("deny", reason)


# -- the gates ---------------------------------------------------------------------------------------


def stopped(agent: AgentState, step: Step, now: float) -> Objection | None:
    """A person's stop, or a breaker that stands open."""
    breakers: list[Breaker] = [agent.breaker]
    if step.trace_id in agent.runs:
        breakers.append(agent.runs[step.trace_id].breaker)
    if step.tool in agent.tools:
        breakers.append(agent.tools[step.tool].breaker)
    if step.bundle in agent.bundles:
        breakers.append(agent.bundles[step.bundle].breaker)
    for breaker in breakers:
        if breaker.stopped:
            return deny(f"{breaker.scope} stands {breaker.state.value}")
        # The request itself took a place before it came here, if there was one (`Commanding.called`).
        if breaker.state is State.HALF_OPEN and step.step_id not in dict(breaker.out):
            return deny(f"{breaker.scope} is on trial, and its {PROBES} places are taken")
    return None


def environment(agent: AgentState, step: Step, now: float) -> Objection | None:
    """It runs where it was granted to run."""
    if step.environment in agent.file.granted:
        return None
    return deny(f"{step.environment} is not granted")


def allowlist(agent: AgentState, step: Step, now: float) -> Objection | None:
    """The file lists the tool, the user and the task; nothing is written for an agent without an owner."""
    file = agent.file
    if not agent.registered:
        return deny("the agent has no file in force")
    if step.tool not in file.tools:
        return deny(f"{step.tool} is not listed")
    for name, patterns in ((step.user_id, file.users), (step.task_type, file.tasks)):
        if patterns and not any(fnmatchcase(name, pattern) for pattern in patterns):
            return deny(f"{name or 'nobody'} is not listed")
    if file.access(step.tool) != "read" and file.reads_only(now):
        return deny("without an owner, or past its review day, the agent only reads")
    return None


def descriptor(agent: AgentState, step: Step, now: float) -> Objection | None:
    """The tool says of itself what it said when it was approved."""
    approved = agent.file.tools[step.tool].descriptor if step.tool in agent.file.tools else ""
    said = step.held.descriptor if step.held is not None else ""
    if not approved or approved == said:
        return None
    return deny(f"{step.tool} describes itself otherwise than when it was approved")


def version(agent: AgentState, step: Step, now: float) -> Objection | None:
    """The bundle that runs is one that the file names."""
    known = {bundle.hash for bundle in agent.file.bundles.values()}
    if not known or step.bundle in known:
        return None
    return deny(f"bundle {step.bundle or 'without a name'} is not in the file")


def autonomy(agent: AgentState, step: Step, now: float) -> Objection | None:
    """How much it may do by itself."""
    if agent.file.autonomy == OBSERVES:
        return deny("the agent only observes")
    if agent.file.autonomy == APPROVED and not _agreed(agent, step, now):
        return Objection("needs_approval", "every action of this agent is approved", "autonomy")
    return None


def limits(agent: AgentState, step: Step, now: float) -> Objection | None:
    """Calls of the access class, this one among them."""
    access = agent.file.access(step.tool)
    caps, rate = agent.file.limits.get(access), agent.rates.get(access)
    if caps is None or rate is None:
        return None
    if caps.per_minute and rate.minute > caps.per_minute:
        return deny(f"more than {caps.per_minute} {access} calls in a minute")
    if caps.per_day and rate.today > caps.per_day:
        return deny(f"more than {caps.per_day} {access} calls in a day")
    return None


def concurrency(agent: AgentState, step: Step, now: float) -> Objection | None:
    """Held calls that run at once."""
    most_calls = agent.file.concurrency
    if not most_calls or len(agent.ledger.reserved) < most_calls:
        return None
    return deny(f"{most_calls} calls are under way")


def retries(agent: AgentState, step: Step, now: float) -> Objection | None:
    """Repeats of a call that failed."""
    run, most_repeats = agent.runs.get(step.trace_id), agent.file.retries
    failed = run.failed.get(repeat_key(step), 0) if run is not None else 0
    if not most_repeats or failed <= most_repeats:
        return None
    return deny(f"the same call failed {failed} times, {most_repeats} repeats are allowed")


def depth(agent: AgentState, step: Step, now: float) -> Objection | None:
    """Agents below each other."""
    most_agents, above = agent.file.depth, step.held.depth if step.held is not None else 0
    if not most_agents or above < most_agents:
        return None
    return deny(f"{above} agents are above this one, {most_agents} may be below each other")


def timeout(agent: AgentState, step: Step, now: float) -> Objection | None:
    """How long the run has lasted."""
    run, longest = agent.runs.get(step.trace_id), agent.file.run_timeout_s
    if not longest or run is None or agent.at - run.began <= longest:
        return None
    return deny(f"the run has lasted longer than {longest:g} s")


def order(agent: AgentState, step: Step, now: float) -> Objection | None:
    """What must go before it has gone well in this run."""
    lacking = preceding.lacking(agent, step)
    if not lacking:
        return None
    return deny(f"{lacking[0]} has not gone well before it in this run")


def budgets(agent: AgentState, step: Step, now: float) -> Objection | None:
    """Money and tokens of call, run, hour and day, with all that is set aside for calls under way."""
    amount = most(agent.file, step.tool)
    lacking = agent.ledger.lacks(step.trace_id, agent.file.budgets, amount, now)
    return deny(f"the budget {lacking} has no room for this call") if lacking else None


def approvals(agent: AgentState, step: Step, now: float) -> Objection | None:
    """Rules that send a call to a person; one that cannot be judged counts as if it applied."""
    known = _context(agent, step, now) if agent.file.approvals else {}
    for one in agent.file.approvals:
        try:
            applies = rule(one.when)(step.decision_args, known)
            reason = f"{one.name}: {one.when}"
        except RuleError as error:
            applies, reason = True, f"{one.name}: can't be judged ({error})"
        asks = _ask(agent, step, now, one.name, reason, one.approvers) if applies else None
        if asks is not None:  # who agreed to one rule may be nobody for the next
            return asks
    return None


def signals(agent: AgentState, step: Step, now: float) -> Objection | None:
    """What detectors have found in this run so far."""
    run, words = agent.runs.get(step.trace_id), agent.file.signals
    if run is None:
        return None
    for name, action in run.signals.items():
        if name in agent.file.metrics_only:
            continue  # it stops nothing, this call neither
        word = words.get(name, "ask" if action == "step-up" else "")  # type: ignore[call-overload]
        if word == "deny":
            return deny(f"{name} has fired or warned in this run")
        entry = CATALOGUE.get(name)  # an earlier build may have known more of them
        statistical = entry is not None and entry.evidence_class == "statistical"
        if word == "ask" and (name in words or not statistical or doubting.holds(run, name, step)):
            return _ask(agent, step, now, "signals", f"{name} has fired or warned in this run")
    return None


GATES: dict[str, Gate] = {
    "stopped": stopped, "environment": environment, "allowlist": allowlist, "descriptor": descriptor,
    "version": version, "autonomy": autonomy, "limits": limits, "concurrency": concurrency,
    "retries": retries, "depth": depth, "timeout": timeout, "order": order, "budgets": budgets,
    "approvals": approvals, "signals": signals,
}  # fmt: skip


def judge(agent: AgentState, step: Step, now: float) -> Ruling:
    """Ask the gates in their order.

    Parameters
    ----------
    agent
        As its owner knows it, this request already counted.
    step
        The request of a held call.
    now
        Record time, s.

    Notes
    -----
    A rule of approval takes 6 µs (`ingest.rules`), the other gates together about as much.
    """
    passed: list[str] = []
    for name, gate in GATES.items():
        objection = gate(agent, step, now)
        if objection is not None:
            return Ruling(objection.word, name, objection.reason, objection.rule, tuple(passed))
        passed.append(name)
    return Ruling("allow", passed=tuple(passed))


def shadowed(agent: AgentState, step: Step, ruling: Ruling) -> Ruling:
    """The ruling of a call of the shadow bundle or of a probe: decided, and never executed, reads apart.

    Nobody is asked, and nothing is set aside: the reason says what would have become of the call.
    """
    if ruling.word == "deny" or agent.file.access(step.tool) == "read":
        return ruling
    if step.probe:
        reason = f"a probe executes nothing; it would be: {ruling.word}"
        return Ruling("deny", SHADOW, reason, ruling.rule, ruling.passed)
    tracks = {track for track, bundle in agent.file.bundles.items() if bundle.hash == step.bundle}
    run = agent.runs.get(step.trace_id)
    repeats = run is not None and run.shadow_of  # still, though its bundle may be the canary by now
    if tracks != {SHADOW} and not repeats:
        return ruling
    reason = f"a shadow executes nothing; it would be: {ruling.word}"
    return Ruling("deny", SHADOW, reason, ruling.rule, ruling.passed)


def repeat_key(step: Step) -> str:
    """What makes two calls of a run the same."""
    return f"{step.tool}|{step.args_hash}"


def _ask(
    agent: AgentState, step: Step, now: float, name: str, reason: str,
    approvers: tuple[str, ...] = (),
) -> Objection | None:  # fmt: skip
    agreed = _agreed(agent, step, now, approvers)
    return None if agreed else Objection("needs_approval", reason, name)


def _agreed(agent: AgentState, step: Step, now: float, approvers: tuple[str, ...] = ()) -> bool:
    """Whether a person who may has agreed to this very call: tool and arguments, once, in time."""
    held = step.held
    agreed = agent.agreed.get(held.approval_id) if held is not None and held.approval_id else None
    fits = agreed is not None and agreed.fits(step.tool, step.args_hash, now)
    return agreed is not None and fits and agreed.covers(approvers, now)


def _used(agent: AgentState, tool: str) -> bool:
    """Whether a call of the tool has run; what an older build has seen counts too."""
    known = agent.tools.get(tool)
    return agent.firsts.ran(tool) or (known is not None and known.errors.n > 0)


def _context(agent: AgentState, step: Step, now: float) -> dict[str, Any]:
    """What rules may read of a call besides its arguments."""
    totals = step.run
    return {
        "tool": step.tool, "access": agent.file.access(step.tool), "environment": step.environment,
        "user": step.user_id, "task": step.task_type, "confidence": step.confidence,
        "first_time": not _used(agent, step.tool), "calls": totals.calls if totals else 0,
        "cost_usd": totals.cost_micro / 1e6 if totals else 0.0,
        "hour": datetime.fromtimestamp(now, UTC).hour,
        "data_classes": list(step.held.data_classes) if step.held is not None else [],
    }  # fmt: skip
