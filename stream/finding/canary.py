"""A new bundle beside the stable one: judged by its own errors, and by its part of what goes wrong. Pure.

    a call of the canary ──► its own error rate (rule) ─────────┐
    a run of either ──────► canary rate, two kinds of "bad" ────┼──► breaker of the bundle: rollback
    a run of either ──────► tools that it called ──────────────┼──► the roll-out goes no further
    a run and its shadow ──► pairs that differ ─────────────────┘

A canary that fails stops the canary, not the agent: its calls count for it alone.
"""

from collections.abc import Iterator

from ingest.agent_file import Bundle
from ingest.records import Run, Step
from stream import sentences
from stream.agent.agent_state import HALVES_MAX, AgentState, BundleState, RunState
from stream.agent.breaker import Tripped
from stream.agent.finding import Finding


def of(agent: AgentState, bundle: str) -> BundleState | None:
    """The state of a bundle, if it is the canary now."""
    canary = agent.file.bundles.get("canary")
    return agent.bundle(bundle) if canary is not None and canary.hash == bundle else None


def call_failed(agent: AgentState, step: Step) -> Iterator[Finding]:
    """A call of a run has failed: the first one counts for the comparison."""
    run = agent.run(step.trace_id)
    if not run.failed_once:
        run.failed_once = True
        yield from _compared(agent, run, "a failed call", "calls")


def judged(agent: AgentState, canary: BundleState, step: Step) -> Iterator[Finding]:
    """The outcome of a call of the canary, by the rule of error rates."""
    if canary.breaker.stopped:
        return
    canary.errors.update(step.status == "error", agent.at)
    if canary.errors.fires:
        evidence = canary.errors.evidence()
        words = sentences.error_rate(f"bundle {step.bundle}", evidence)
        yield Finding(
            "error_rate", words, evidence, "bundle", Tripped(auto_close=False), bundle=step.bundle
        )


def run_ended(agent: AgentState, run: RunState, fact: Run) -> Iterator[Finding]:
    """A run has ended, well or badly: with an error, or stopped."""
    bad = fact.status not in ("", "ok") or run.breaker.stopped
    if bad:
        yield from _compared(agent, run, "a bad end", "runs")
    yield from _paired(agent, run, fact.trace_id, bad or run.failed_once)
    yield from _mixed(agent, run)


def _paired(agent: AgentState, run: RunState, trace_id: str, bad: bool) -> Iterator[Finding]:
    """A run of the shadow, or one that it may repeat: the second of the two to end compares them."""
    shadow = agent.file.bundles.get("shadow")
    if shadow is None:
        return
    state, repeats = agent.bundle(shadow.hash), run.bundle == shadow.hash
    name = run.shadow_of if repeats else trace_id
    other = state.halves.pop(name, None)
    if not name or other is None or other[0] == repeats:
        state.halves[name] = (repeats, bad)
        if len(state.halves) > HALVES_MAX:
            del state.halves[next(iter(state.halves))]
        return
    state.pairs.update(*((bad, other[1]) if repeats else (other[1], bad)))
    if state.pairs.fires and not state.breaker.stopped:
        evidence = state.pairs.evidence() | {"bundle": shadow.hash}
        words = sentences.shadow(shadow.hash, evidence)
        event = Tripped(auto_close=False)
        yield Finding("shadow_pair", words, evidence, "bundle", event, bundle=shadow.hash)


def _mixed(agent: AgentState, run: RunState) -> Iterator[Finding]:
    """A run of the canary or of the stable bundle: the tools that it called. Said once."""
    canary = _beside_stable(agent, run)
    if canary is None or run.gaps:
        return
    state = agent.bundle(canary.hash)
    if state.breaker.stopped or state.mix.fires:
        return
    state.mix.update(run.walk.calls, run.bundle == canary.hash, canary.share)
    if state.mix.fires:
        evidence = state.mix.evidence() | {"bundle": canary.hash, "share": canary.share}
        words = sentences.canary_mix(canary.hash, evidence)
        # Its owner hears of it: it holds the roll-out up.
        yield Finding("canary_mix", words, evidence, bundle=canary.hash, pages=True)


def _beside_stable(agent: AgentState, run: RunState) -> Bundle | None:
    """The canary, if the run is its own or of the stable bundle beside it."""
    canary, stable = agent.file.bundles.get("canary"), agent.file.bundles.get("stable")
    if canary is None or stable is None or not 0.0 < canary.share < 1.0:
        return None
    return canary if run.bundle in (canary.hash, stable.hash) else None


def _compared(agent: AgentState, run: RunState, what: str, kind: str) -> Iterator[Finding]:
    """One more bad run of the canary or of the stable bundle."""
    canary = _beside_stable(agent, run)
    if canary is None:
        return
    state = agent.bundle(canary.hash)
    detector = state.calls if kind == "calls" else state.runs
    if state.breaker.stopped:
        return
    detector.update(True, run.bundle == canary.hash, canary.share)
    if detector.fires:
        evidence = detector.evidence() | {"metric": what, "bundle": canary.hash}
        words = sentences.canary(canary.hash, what, evidence)
        yield Finding(
            "canary_rate", words, evidence, "bundle", Tripped(auto_close=False), bundle=canary.hash
        )
