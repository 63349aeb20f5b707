"""One answer of one detector: what it found, and which stop it asks for. Pure."""

from dataclasses import dataclass
from typing import Any, Literal

from detectors import CATALOGUE
from stream.agent.breaker import Event

Target = Literal["run", "tool", "agent", "bundle"]
# Of a stop; else what the catalogue says.
_ACTIONS = {"agent": "open", "bundle": "rollback", "run": "stop-run"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One answer of one detector, and the breaker event that it asks for (none: it only annotates)."""

    detector: str
    sentence: str
    evidence: dict[str, Any]
    target: Target | None = None
    event: Event | None = None
    warning: bool = False  # the lower mark of a rule
    bundle: str = ""  # where one is the target
    pattern: str = ""  # what repeats within an episode, where that is not the tool or the model
    pages: bool = False  # its owner hears of it though nothing was stopped
    weight: str = ""  # its severity, where it is not the catalogue's

    @property
    def action(self) -> str:
        entry = CATALOGUE[self.detector]
        if self.warning:
            return entry.warn_action or "annotate"
        return _ACTIONS.get(self.target or "", entry.action)

    @property
    def severity(self) -> str:
        entry = CATALOGUE[self.detector]
        if self.weight:
            return self.weight
        return entry.warn_severity or entry.severity if self.warning else entry.severity
