"""Between what statistical detectors find and what is said: the alarm budget, and detectors' health. Pure.

finding ──► rule or version: said
        └─► statistical: budget, episode ──► said, logged (the detector is ill) or muted

Ill is who says far too much for days, and who calls far too much rare (`uniformity`). Either is only logged.
"""

from detectors import CATALOGUE, DETECTORS, Json
from detectors.alarm_budget import SURPRISES, Level, surprise
from ingest.records import Run, Step
from stream import sentences
from stream.agent.agent_state import AgentState
from stream.agent.finding import Finding
from stream.agent.saying import Saying

_TICKETS = frozenset({"medium", "high", "critical"})


def level(action: str, severity: str, told: bool) -> Level:
    """What an alarm costs people: a page calls one, a ticket asks one, an annotation waits to be read.

    >>> level("open", "low", True), level("step-up", "low", False), level("annotate", "low", False)
    ('page', 'ticket', 'annotation')
    """
    if told:
        return "page"
    return "ticket" if action == "step-up" or severity in _TICKETS else "annotation"


class Budgeting:
    """Says no for statistical detectors that have said enough.

    Rules and versions always pass, and a stop that something else of the run supports: then it is no
    longer one statistical alarm.

    Parameters
    ----------
    saying
        Takes the word on a detector that has fallen ill, or is well again.
    """

    def __init__(self, saying: Saying) -> None:
        self._saying = saying

    def weigh(self, agent: AgentState, step: Step | Run, finding: Finding) -> str:
        """``said``, ``logged`` or ``muted``."""
        entry = CATALOGUE[finding.detector]
        if entry.evidence_class != "statistical" or finding.event is not None:
            return "said"
        run = agent.runs.get(step.trace_id)
        if finding.action == "step-up" and run and run.signals.get(finding.detector) == "step-up":
            return "muted"  # it is said once a run; what waits for it is told call by call
        budget, now = agent.alarms, self._saying.now
        cost = level(finding.action, finding.severity, told=False)
        said, highest = finding.evidence, DETECTORS[finding.detector].bounds[1]
        rarity = surprise(said, said.get("score", 0.0), said["threshold"], highest)
        # A detector that makes writes wait starts low at any pace: a note on a read excuses no write.
        exact = ("p" in said or highest in SURPRISES) and entry.action != "step-up"
        # Nor does a cold one that its siblings vouch for: a tool is new once, however busy its agent.
        asked = said.get("n", 0) if exact and not said.get("siblings") else 0
        pattern = _pattern(step, finding)
        word: str = budget.offer(
            finding.detector, pattern, rarity, cost, now, asked, joint=finding.action == "step-up"
        )
        ill = budget.ill(finding.detector, cost)
        if ill is not None:
            self._health(agent, finding.detector, cost, ill)
            word = "logged" if ill and word == "said" else word
        health = agent.health.get(finding.detector)
        if health is not None:
            turned = health.changed()
            if turned is not None:
                facts = health.facts(self._saying.now)
                self._health(agent, finding.detector, cost, turned, facts)
            word = "logged" if health.ill and word == "said" else word
        if word != "muted":
            finding.evidence["budget"] = budget.facts(finding.detector, cost)
            if self._saying.lag.ill:
                finding.evidence["lag_s"] = self._saying.lag.seconds
        return word

    def _health(
        self,
        agent: AgentState,
        detector: str,
        cost: Level,
        ill: bool,
        p_values: dict[str, Json] | None = None,
    ) -> None:
        """Say which check of a detector fails, or fails no more: the pace of its alarms, or its p-values."""
        evidence = agent.alarms.facts(detector, cost) | {"check": "alarm rate", "subject": detector}
        evidence["observed"] = evidence["episodes_a_day"]
        evidence["lag_s"] = self._saying.lag.seconds
        if p_values is not None:
            evidence |= p_values | {"observed": p_values["shares"]}
        self._saying.signal(
            agent, None, incident=False, detector="detector_health", evidence_class="statistical",
            severity="medium", action="annotate", sentence=sentences.detector_health(evidence, ill),
            evidence=evidence,
        )  # fmt: skip


def _pattern(step: Step | Run, finding: Finding) -> str:
    """What repeats within an episode. A call that shall wait for a person concerns its own run alone."""
    if finding.action == "step-up":
        return step.trace_id
    return finding.pattern or ((step.tool or step.model) if isinstance(step, Step) else "")
