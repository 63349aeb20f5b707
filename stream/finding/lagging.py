"""How late detect hears of what agents do: the pipeline's own matter, told when it begins and ends. Pure."""

from detectors.input_lag import LATE_SECONDS
from ingest.records import Step
from stream import sentences
from stream.agent.agent_state import AgentState
from stream.agent.saying import Saying


def heard(agent: AgentState, step: Step, saying: Saying) -> None:
    """A live step has come. Whichever agent's step shows it bears the word: late is the whole partition."""
    late = saying.lag.add(saying.now - step.at, saying.now) if step.at else None
    if late is None:
        return
    evidence = {
        "check": "input lag", "subject": "all detectors", "observed": round(saying.now - step.at, 3),
        "threshold": LATE_SECONDS, "lag_s": saying.lag.seconds,
    }  # fmt: skip
    saying.signal(
        agent, None, incident=False, detector="detector_health", evidence_class="statistical",
        severity="medium", action="annotate", sentence=sentences.input_lag(evidence, late),
        evidence=evidence,
    )  # fmt: skip
