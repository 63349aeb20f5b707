"""Stops that a rule asks for and that do not come: it only measures, or its tenant is braked. Pure.

They are told, once in the time that the stop would have lasted at least.
"""

from typing import Any

from ingest.records import Run, Step
from stream import sentences
from stream.agent.agent_state import MEASURED_MAX, AgentState
from stream.agent.breaker import WAIT, Breaker, State, Tripped
from stream.agent.finding import Finding
from stream.agent.saying import Saying
from stream.stopping.brake import Brakes, obeys

# Status of a signal that would have stopped something, had its file not said otherwise.
METRICS_ONLY = "metrics_only"


class Withholding:
    """What keeps stops of one partition from coming.

    Parameters
    ----------
    saying
        Takes what is told instead.

    Attributes
    ----------
    brakes
        Tenants of which soft rules stop nobody now.
    """

    def __init__(self, saying: Saying) -> None:
        self.brakes = Brakes()
        self._saying = saying

    def takes(
        self, agent: AgentState, step: Step | Run, breaker: Breaker, finding: Finding,
        said: dict[str, Any],
    ) -> bool:  # fmt: skip
        """Whether a stop does not come; then `said` is what its signal would say of it."""
        said = said | {"scope": breaker.scope}
        if finding.detector in agent.file.metrics_only:
            if self._news(agent, finding, breaker):
                said |= {"status": METRICS_ONLY}
                self._saying.signal(agent, step, incident=False, **said)
            return True
        if not self._braked(agent, breaker, finding):
            return False
        if self._news(agent, finding, breaker):
            words = sentences.held_back(finding.sentence, breaker.scope)
            said |= {"action": "step-up", "sentence": words}
            self._saying.signal(agent, step, incident=True, **said)
        return True

    def _braked(self, agent: AgentState, breaker: Breaker, finding: Finding) -> bool:
        """Whether the tenant's brake holds it back. What is on trial was stopped before: no new stop."""
        first = breaker.state is State.CLOSED and isinstance(finding.event, Tripped)
        return (
            first
            and obeys(finding.detector, finding.severity, breaker.scope)
            and self.brakes.holds(agent.tenant, self._saying.now)
        )

    def _news(self, agent: AgentState, finding: Finding, breaker: Breaker) -> bool:
        name, now = f"{finding.detector}/{breaker.scope}", self._saying.now
        if now < agent.measured.get(name, 0.0):
            return False
        agent.measured.pop(name, None)
        agent.measured[name] = now + WAIT
        if len(agent.measured) > MEASURED_MAX:
            del agent.measured[next(iter(agent.measured))]
        return True
