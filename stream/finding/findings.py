"""What the detectors say of one step: each finding with its evidence and what it suggests. Pure.

Detectors score; here they are asked, in a fixed order, and their answers are put into words. Whether a
breaker follows is decided in `detect`.
"""

from collections.abc import Iterator
from typing import Any

from detectors import CallRate, Detector, TaintedArgument, ToolChanged, step_features
from detectors.exact_loop import ExactLoop
from ingest.records import Step, Value
from stream import sentences
from stream.agent.agent_state import AgentState
from stream.agent.breaker import Slowed, Tripped
from stream.agent.finding import Finding
from stream.finding import (
    canary,
    changed,
    claiming,
    firsts,
    leaking,
    ping_pong,
    planning,
    preceding,
    progressing,
    remembering,
    returned,
    sequences,
    spending,
    triggering,
    unsure,
    volumes,
)
from tracefuse import verdicts

MICRO = 1_000_000


def on_request(agent: AgentState, step: Step) -> Iterator[Finding]:
    """Findings when an action is about to run: what counts calls, and what they are to act on."""
    yield from volumes.asked(agent, step)
    if step.action != "tool":
        return
    if not step.probe:  # a probe is no example of users' work, and writes nothing
        yield from sequences.requested(agent, step)
        if not step.spooled:
            yield from preceding.requested(agent, step)
            yield from firsts.requested(agent, step)
            yield from _taint(agent, step)
            yield from _changed(agent, step)
            yield from leaking.requested(agent, step)
            yield from leaking.counted(agent, step)
            yield from remembering.influence(agent, step)
            yield from claiming.requested(agent, step)
            yield from planning.requested(agent, step)
            yield from triggering.requested(agent, step)
            yield from unsure.requested(agent, step)
    if not step.spooled:
        yield from _call_rate(agent, step)


def _call_rate(agent: AgentState, step: Step) -> Iterator[Finding]:
    """Calls of an access class, by the caps that somebody set."""
    if _waited(agent, step):
        return  # a person was asked meanwhile: it is the same call
    access = agent.file.access(step.tool)
    caps = agent.file.limits.get(access)
    rate = agent.rates.get(access)
    if rate is None:
        rate = agent.rates[access] = CallRate()
    rate.update(agent.at, (caps and caps.per_minute) or None, (caps and caps.per_day) or None)
    if rate.fires:
        words = sentences.call_rate(access, rate.evidence())
        yield Finding("call_rate", words, rate.evidence(), "agent", Tripped(auto_close=True))


def _waited(agent: AgentState, step: Step) -> bool:
    """Whether a call asks anew after it had to wait for a person: by our own word, not by its count."""
    if not step.again or step.held is None:
        return False
    before = agent.verdicts.get(f"{step.step_id}/{step.held.attempt - 1}")
    return before is not None and verdicts.decode(before).word == "needs_approval"


def _taint(agent: AgentState, step: Step) -> Iterator[Finding]:
    """Arguments that nobody in charge has named. A warning once a run: listings are normal."""
    told = step.provenance
    if told is None:
        return
    taint = TaintedArgument()
    values = [(value.origin, value.klass) for value in told.values]
    if told.cut:  # what was left out may be an address that nobody named
        values.append(("unknown", "url"))
    taint.update(values, told.orders, agent.file.access(step.tool) == "read")
    if not taint.fires and not (
        taint.warns and "tainted_argument" not in agent.run(step.trace_id).signals
    ):
        return
    weighs = (one for one in told.values if (one.origin, one.klass) == (taint.origin, taint.klass))
    worst = next(weighs, Value("unknown", taint.klass))
    evidence = taint.evidence() | {
        "argument": worst.path, "span": [worst.start, worst.end], "named": told.named,
        "source": told.source,
    }  # fmt: skip
    words = sentences.tainted_argument(step.tool, evidence)
    yield Finding("tainted_argument", words, evidence, warning=not taint.fires)


def _changed(agent: AgentState, step: Step) -> Iterator[Finding]:
    """A tool that describes itself otherwise than under the same version before. Said once a run."""
    if step.held is None or not step.held.descriptor:
        return
    tool, declared = agent.tool(step.tool), agent.file.tools.get(step.tool)
    approved, version = (declared.descriptor, declared.version) if declared else ("", "")
    tool.described = tool.described or ToolChanged()
    tool.described.update(step.held.descriptor, f"{version}/{step.bundle}"[:128], approved)
    if tool.described.fires and "tool_changed" not in agent.run(step.trace_id).signals:
        evidence = tool.described.evidence() | {"version": version, "bundle": step.bundle}
        yield Finding("tool_changed", sentences.tool_changed(step.tool, evidence), evidence)


def on_complete(agent: AgentState, step: Step) -> Iterator[Finding]:
    """Findings when an action has completed: outcome, latency, money, repetition, shape."""
    if step.probe:
        if step.status != "not_run":
            yield from _of_probe(agent, step)
        return
    if step.status == "not_run":
        sequences.refused(agent, step)
        return
    remembering.wrote(agent, step)
    preceding.completed(agent, step)
    firsts.completed(agent, step)
    if step.action == "llm":
        changed.called(agent, step)
    yield from _repetition(agent, step)
    yield from ping_pong.passed(step)
    yield from progressing.called(agent, step)
    yield from _money(agent, step)
    yield from spending.prices(agent, step)
    yield from spending.of_run(agent, step)
    if not step.spooled and step.action in ("tool", "llm"):
        yield from _outcome(agent, step)
        yield from _shape(agent, step)


def _of_probe(agent: AgentState, step: Step) -> Iterator[Finding]:
    """Of a probe the rules alone: it may not loop, nor cost more than was set."""
    preceding.completed(agent, step)
    if step.action == "llm":
        changed.called(agent, step)
    yield from _repetition(agent, step)
    yield from ping_pong.passed(step)
    yield from _money(agent, step)


def _repetition(agent: AgentState, step: Step) -> Iterator[Finding]:
    declared = agent.file.tools.get(step.tool)
    if step.loop is None or (declared is not None and declared.poll):
        return
    done = max(step.loop.repeats, step.loop.count)
    if done < ExactLoop.threshold - 1:
        return
    evidence = {
        "observed": done, "score": float(done), "threshold": ExactLoop.threshold,
        "period": step.loop.period, "repeats": step.loop.repeats, "count": step.loop.count,
        "tool": step.tool,
    }  # fmt: skip
    words = sentences.exact_loop(step.tool, evidence)
    if done >= ExactLoop.threshold:
        yield Finding("exact_loop", words, evidence, "run", Tripped(auto_close=False))
    else:
        yield Finding("exact_loop", words, evidence, warning=True)


def _money(agent: AgentState, step: Step) -> Iterator[Finding]:
    if not step.cost_usd:
        return
    budgets, run = agent.file.budgets, agent.run(step.trace_id)
    now = max(agent.at, step.at)  # also of what waited on a disk: it counts on the day it arrives
    run.cost.update(step.cost_usd, now, budgets.run_usd or None)
    agent.day.update(step.cost_usd, now, budgets.day_usd or None)
    for target, cap in (("run", run.cost), ("agent", agent.day)):
        if cap.fires or cap.warns:
            evidence = cap.evidence()
            words = sentences.cost_cap("run" if target == "run" else "day", evidence)
            event = Tripped(auto_close=False) if cap.fires else None
            yield Finding(
                "cost_cap", words, evidence, target, event,  # type: ignore[arg-type]
                warning=not cap.fires, pages=not cap.fires,
            )  # fmt: skip


def _outcome(agent: AgentState, step: Step) -> Iterator[Finding]:
    """Failures and latency, where the breaker stands closed: what comes while it is open tells nothing."""
    failed, now = step.status == "error", agent.at
    if failed:
        yield from canary.call_failed(agent, step)
    new = canary.of(agent, step.bundle)
    if new is not None:  # it stands alone: its failures are not the agent's, nor the tool's
        yield from canary.judged(agent, new, step)
        return
    if not agent.breaker.stopped:
        agent.errors.update(failed, now)
        if agent.errors.fires:
            evidence = agent.errors.evidence()
            words = sentences.error_rate("all tools", evidence)
            yield Finding("error_rate", words, evidence, "agent", Tripped(auto_close=True))
    yield from _annotated(agent, "slow_drift", agent.drift, failed, "all tools")
    if agent.drift.n == agent.drift.n0:
        changed.freeze(agent, step.bundle)
    if step.action != "tool":
        return
    tool = agent.tool(step.tool)
    if tool.breaker.stopped:
        return
    yield from returned.malformed(tool, step)
    yield from returned.unlike(tool, step)
    tool.errors.update(failed, now)
    if tool.errors.fires:
        evidence = tool.errors.evidence() | returned.news(tool, step)
        words = sentences.error_rate(step.tool, evidence)
        yield Finding("error_rate", words, evidence, "tool", Tripped(auto_close=True))
    yield from _annotated(agent, "error_baseline", tool.baseline, failed, step.tool)
    if failed:
        return
    seconds = step.duration_us / MICRO
    declared = agent.file.tools.get(step.tool)
    tool.latency.update(seconds, declared.latency_ms / 1000 if declared else None)
    if tool.latency.fires:
        evidence = tool.latency.evidence()
        words = sentences.latency(step.tool, evidence)
        yield Finding("latency", words, evidence, "tool", Slowed())
    yield from _annotated(agent, "latency_baseline", tool.usual_latency, seconds, step.tool)


def _shape(agent: AgentState, step: Step) -> Iterator[Finding]:
    features = step_features(
        step.duration_us / MICRO, step.cost_usd, step.input_tokens + step.output_tokens,
        step.status == "error", step.action == "tool" and agent.file.access(step.tool) != "read",
    )  # fmt: skip
    yield from _annotated(
        agent, "step_vector", agent.vector(step.action), features, step.tool or step.model
    )


def _annotated(
    agent: AgentState, name: str, detector: Detector, value: Any, what: str
) -> Iterator[Finding]:
    detector.update(value)
    agent.scored(name, detector.chance)
    if detector.fires:
        evidence = detector.evidence()
        yield Finding(name, sentences.annotation(name, what, evidence), evidence)
