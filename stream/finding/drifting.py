"""Whether a task's runs are what they were, against a reference that nobody can teach. Pure.

a run's end ──► TaskDrift of its task ──► people are told; no stage of a roll-out is passed meanwhile
                        └── began with a new version ──► a rollback is suggested

A canary and a shadow are compared with the stable bundle elsewhere, so their runs don't count here.
"""

from collections.abc import Iterator

from ingest.records import Run
from stream import sentences
from stream.agent.agent_state import AgentState, RunState, TaskState
from stream.agent.finding import Finding
from stream.finding import changed

NAME = "task_drift"
NEAR_RUNS = 20  # so many runs before a drift shows at all, its cause may lie


def run_ended(agent: AgentState, run: RunState, fact: Run) -> Iterator[Finding]:
    """A run has ended. One of which parts came late, from a disk, has no order."""
    if run.gaps or run.shadow_of or _new(agent, run.bundle) or not run.done:
        return
    state = agent.task(run.task)
    drift = state.drift
    bad = run.failed_once or run.breaker.stopped or fact.status not in ("", "ok")
    drift.update(run.walk.calls, run.done, run.cost.spent, bad)
    _marked(agent, state, run.bundle)
    if drift.n == drift.n0:
        made = changed.parts(agent, run.bundle)
        state.reference = agent.reference if made == agent.reference else made
    if not drift.fires:
        return
    known = changed.between(state.reference, changed.parts(agent, run.bundle))
    tried = [one.hash for track, one in agent.file.bundles.items() if track != "stable"]
    evidence = drift.evidence() | {
        "rollout": tried[0] if tried else "",
        "task": run.task, "changed": known or [], "aligned": aligned(state), "version": state.version,
    }  # fmt: skip
    words = sentences.task_drift(run.task, evidence)
    if known is not None:
        words = f"{words} {sentences.changed(known, 'its reference')}"
    drift.settled()
    # Seasons move tasks too: its owner hears of what can be acted on.
    pages = bool(evidence["aligned"] or evidence["rollout"])
    yield Finding(NAME, words, evidence, warning=not evidence["aligned"], pages=pages)


def aligned(state: TaskState) -> bool:
    """Whether the version changed about when the drift began: not long before, and not long after."""
    began, now = state.drift.since, state.drift.n
    room = max(NEAR_RUNS, now - began)
    return began - room <= state.changed_at <= began + room // 2 and state.changed_at > 0


def accepted(agent: AgentState) -> None:
    """A person calls a drift an expected change: what drifted gets a new reference, from now on."""
    for name, state in agent.tasks.items():
        if state.drift.alarms:
            agent.tasks[name] = TaskState(version=state.version)


def _marked(agent: AgentState, state: TaskState, bundle: str) -> None:
    """Remember where the version of the task's runs changed."""
    version = "/".join((bundle, *agent.models.get(bundle, ())))
    if version != state.version:
        state.changed_at = state.drift.n if state.version else 0
        state.version = version


def _new(agent: AgentState, bundle: str) -> bool:
    """Whether a bundle is only tried."""
    tried = (agent.file.bundles.get("canary"), agent.file.bundles.get("shadow"))
    return any(one is not None and one.hash == bundle for one in tried)
