"""Which calls a statistical finding lets wait for a person: the one it is about, or the next one. Pure.

A rule's finding concerns the run. A statistical one is a habit broken once, and is wrong now and then:
what else a run does need not wait for that, unless it goes on being odd.
"""

from detectors import CATALOGUE
from ingest.records import Step
from stream.agent.agent_state import DOUBTS_MAX, RunState
from stream.agent.finding import Finding

_NEXT = ""  # not known yet: whichever call asks next


def concerns(finding: Finding) -> bool:
    """Whether a finding is a statistical one that lets a call wait."""
    entry = CATALOGUE[finding.detector]
    return entry.evidence_class == "statistical" and finding.action == "step-up"


def raised(run: RunState, detector: str) -> None:
    """A detector has stepped up, about the call that is asked about next."""
    calls = run.doubts.setdefault(detector, [])
    if _NEXT not in calls and len(calls) <= DOUBTS_MAX:
        calls.append(_NEXT)


def holds(run: RunState, detector: str, step: Step) -> bool:
    """Whether a call has to wait because of a detector; the same call asked again waits again."""
    calls = run.doubts.get(detector, [])
    if len(calls) > DOUBTS_MAX:
        return True  # odd so often that it concerns the run
    call = f"{step.tool}/{step.args_hash}"
    if _NEXT in calls:
        calls.remove(_NEXT)
        if call not in calls:
            calls.append(call)
    return call in calls
