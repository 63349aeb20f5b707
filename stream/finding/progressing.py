"""Whether a run gets anywhere: what a call without news means, and what its end teaches. Pure.

A habit that is left is no proof: alone it makes the next write wait for a person. It stops a run only where
another kind of finding says so too.
"""

from collections.abc import Iterator

from detectors import CATALOGUE, NoProgress
from ingest.records import Run, Step
from stream import sentences
from stream.agent.agent_state import AgentState, RunState
from stream.agent.breaker import Tripped
from stream.agent.finding import Finding
from stream.finding.teaching import teaches

NAME = "no_progress"
PERSISTS = 2.0  # times the limit; by then a person has been asked about whatever would be written
TASKS_MAX = 8  # of an agent, 0.4 kB each; the one used longest ago goes


def called(agent: AgentState, step: Step) -> Iterator[Finding]:
    """A call has ended: after too many without news the next write waits, once a run."""
    declared = agent.file.tools.get(step.tool)
    if step.loop is None or (declared is not None and declared.poll):
        return
    run = agent.run(step.trace_id)
    run.task, run.called = step.task_type, True
    run.stale = run.stale + 1 if step.stale else 0
    run.stale_longest = max(run.stale_longest, run.stale)
    usual = _of(agent, step.task_type)
    usual.update(run.stale)
    if not usual.fires:
        return
    evidence = usual.evidence() | {"task": step.task_type, "tool": step.tool}
    beside = corroborating(agent, run, NAME) if usual.score >= PERSISTS else ""
    if beside:
        evidence["beside"] = beside
        words = sentences.no_progress(evidence)
        yield Finding(NAME, words, evidence, "run", Tripped(auto_close=False))
    elif NAME not in run.signals:
        yield Finding(NAME, sentences.no_progress(evidence), evidence)


def run_ended(agent: AgentState, run: RunState, fact: Run) -> None:
    """A run has ended; it teaches unless something stopped or refused it, or parts of it are missing."""
    if run.called and teaches(run, fact):
        _of(agent, run.task).update(run.stale_longest, ended=True)


def corroborating(agent: AgentState, run: RunState, name: str) -> str:
    """Another finding of the run that lets a statistical one stop it: a rule, or one of another family."""
    family = CATALOGUE[name].family
    for other, action in run.signals.items():
        entry = CATALOGUE[other]
        if other == name or other in agent.file.metrics_only:
            continue
        if action == entry.warn_action and entry.warn_severity == "low":
            continue  # a warning of what healthy runs do too
        if entry.evidence_class == "rule" or entry.family != family:
            return other
    return ""


def _of(agent: AgentState, task: str) -> NoProgress:
    known = agent.progress.pop(task, None)
    if known is None:
        known = NoProgress()
        if len(agent.progress) >= TASKS_MAX:
            del agent.progress[next(iter(agent.progress))]
    agent.progress[task] = known  # the newest last
    return known
