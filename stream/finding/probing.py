"""What probes tell of an agent: each by its end, the whole set by a test against what was written down. Pure.

A probe is no user's work: nothing else of it is looked at but what is a rule.
"""

from collections.abc import Iterator

from ingest.records import Run
from stream import sentences
from stream.agent.agent_state import AgentState, ProbeSet, RunState
from stream.agent.finding import Finding
from stream.finding import changed

SETS_MAX = 4  # of one agent, 1 kB each; the one that ran longest ago goes


def ended(agent: AgentState, run: RunState, fact: Run) -> Iterator[Finding]:
    """A probe has ended: one that went otherwise is noted, a set that does so too often alarms."""
    told = fact.probed
    if told is None:
        return
    known = _of(agent, told.set, told.digest)
    drift = known.drift
    drift.update(told.id, bool(told.missed))
    now = changed.parts(agent, run.bundle)
    if (
        not told.missed and not drift.suspects
    ):  # all is as it should be, with what it is made of now
        known.bundle, known.parts = run.bundle, now
    if not (drift.fires or drift.warns):
        return
    evidence = drift.evidence() | {
        "set": told.set, "probe": told.id, "missed": [list(one) for one in told.missed],
        "bundle": run.bundle, "well_with": known.bundle,
        "changed": changed.between(known.parts, now),
    }  # fmt: skip
    words = sentences.probe_drift(evidence) if drift.fires else sentences.probe_failed(evidence)
    yield Finding("probe_drift", words, evidence, warning=drift.warns, pages=not drift.warns)


def _of(agent: AgentState, name: str, digest: str) -> ProbeSet:
    """A set's state; one that asks or expects something else is another set."""
    known = agent.probes.pop(name, None)
    if known is None or known.digest != digest:
        known = ProbeSet(digest)
    agent.probes[name] = known  # the newest last
    if len(agent.probes) > SETS_MAX:
        del agent.probes[next(iter(agent.probes))]
    return known
