"""Detectors: numbers in, scores out. One algorithm a file; this page is the only catalogue.

`DETECTORS` names the classes, `CATALOGUE` what a signal says of each besides its evidence. A new
detector is its file, a line in both tables, and a line in the contract test's table.
"""

from bisect import bisect_right
from dataclasses import dataclass

from detectors.base import Detector, Json, StatisticalDetector
from detectors.call_rate import CallRate
from detectors.canary_mix import CanaryMix
from detectors.canary_rate import CanaryRate
from detectors.contention import Contention
from detectors.context_growth import ContextGrowth
from detectors.cost_cap import CostCap
from detectors.divergence import Divergence
from detectors.error_baseline import ErrorBaseline
from detectors.error_rate import ErrorRate
from detectors.exact_loop import ExactLoop
from detectors.first_time import FirstTime
from detectors.latency import LatencyQuantile
from detectors.latency_baseline import LatencyBaseline
from detectors.leakage import Leakage
from detectors.low_confidence import Course, LowConfidence
from detectors.malformed_result import MalformedResult
from detectors.memory_influence import MemoryInfluence
from detectors.new_template import NewTemplate
from detectors.no_progress import NoProgress
from detectors.ping_pong import PingPong
from detectors.price_mismatch import PriceMismatch
from detectors.probe_drift import ProbeDrift
from detectors.run_cost import RunCost
from detectors.sensitive_rate import SensitiveRate
from detectors.sequence_surprise import SequenceSurprise, Walk
from detectors.series_novelty import SeriesNovelty
from detectors.shadow_pair import ShadowPair
from detectors.silence import Silence
from detectors.skipped_habit import Deeds, SkippedHabit
from detectors.skipped_step import SkippedStep
from detectors.slow_drift import SlowDrift
from detectors.step_vector import StepVector, step_features
from detectors.tainted_argument import TaintedArgument
from detectors.task_drift import TaskDrift
from detectors.tool_changed import ToolChanged
from detectors.trigger_pair import TriggerPair
from detectors.unplanned_step import UnplannedStep
from detectors.unsupported_claim import UnsupportedClaim
from detectors.volume import Volume

__all__ = [
    "CATALOGUE",
    "DETECTORS",
    "OFFERED",
    "CallRate",
    "CanaryMix",
    "CanaryRate",
    "Contention",
    "ContextGrowth",
    "CostCap",
    "Course",
    "Deeds",
    "Detector",
    "Divergence",
    "Entry",
    "ErrorBaseline",
    "ErrorRate",
    "ExactLoop",
    "FirstTime",
    "Json",
    "LatencyBaseline",
    "LatencyQuantile",
    "Leakage",
    "LowConfidence",
    "MalformedResult",
    "MemoryInfluence",
    "NewTemplate",
    "NoProgress",
    "PingPong",
    "PriceMismatch",
    "ProbeDrift",
    "RunCost",
    "SensitiveRate",
    "SequenceSurprise",
    "SeriesNovelty",
    "ShadowPair",
    "Silence",
    "SkippedHabit",
    "SkippedStep",
    "SlowDrift",
    "StatisticalDetector",
    "StepVector",
    "TaintedArgument",
    "TaskDrift",
    "ToolChanged",
    "TriggerPair",
    "Volume",
    "UnplannedStep",
    "UnsupportedClaim",
    "Walk",
    "step_features",
]

DETECTORS: dict[str, type[Detector]] = {
    "error_rate": ErrorRate,
    "error_baseline": ErrorBaseline,
    "malformed_result": MalformedResult,
    "new_template": NewTemplate,
    "call_rate": CallRate,
    "first_time": FirstTime,
    "latency": LatencyQuantile,
    "latency_baseline": LatencyBaseline,
    "cost_cap": CostCap,
    "silence": Silence,
    "divergence": Divergence,
    "exact_loop": ExactLoop,
    "no_progress": NoProgress,
    "ping_pong": PingPong,
    "task_drift": TaskDrift,
    "unplanned_step": UnplannedStep,
    "trigger_pair": TriggerPair,
    "unsupported_claim": UnsupportedClaim,
    "step_vector": StepVector,
    "sequence_surprise": SequenceSurprise,
    "series_novelty": SeriesNovelty,
    "canary_rate": CanaryRate,
    "canary_mix": CanaryMix,
    "shadow_pair": ShadowPair,
    "tainted_argument": TaintedArgument,
    "slow_drift": SlowDrift,
    "price_mismatch": PriceMismatch,
    "run_cost": RunCost,
    "context_growth": ContextGrowth,
    "memory_influence": MemoryInfluence,
    "tool_changed": ToolChanged,
    "skipped_step": SkippedStep,
    "skipped_habit": SkippedHabit,
    "probe_drift": ProbeDrift,
    "volume": Volume,
    "leakage": Leakage,
    "sensitive_rate": SensitiveRate,
    "low_confidence": LowConfidence,
    "contention": Contention,
}


OFFERED = frozenset({"series_novelty"})
"""For whoever has a series of numbers: 66 kB of state is too much to be kept of each agent."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What a signal of one detector says besides its evidence.

    Actions are suggestions in the words that policy, breaker and verdicts share: `log`, `annotate`,
    `throttle`, `step-up`, `block-call`, `stop-run`, `open`, `rollback`. Severities: `info`, `low`, `medium`,
    `high`, `critical`.
    """

    number: str
    """Its paragraph in the catalogue of methods, D01 to D41."""
    evidence_class: str
    """`rule` may act at once, `statistical` annotates or steps up, `version` acts on versions."""
    key: str
    """What one instance belongs to."""
    action: str
    severity: str
    warn_action: str | None = None
    """Suggested when the detector `warns`; None if it never does."""
    warn_severity: str | None = None
    soft: bool = False
    """Whether it judges by shares or by habit, not by a limit that somebody set. One shared cause bends
    such a judgement for many agents at once, so the stops that follow obey the blast-radius brake."""

    @property
    def family(self) -> int:
        """Kind of what it looks at: two statistical findings of different families bear each other out."""
        return bisect_right(_FAMILIES, int(self.number[1:]))


# Numbers with which a family begins: rates, sequences, scope and content, versions, the run as a whole.
_FAMILIES = (1, 10, 17, 30, 40)


CATALOGUE: dict[str, Entry] = {
    "error_rate": Entry("D01", "rule", "agent x tool, agent", "open", "medium", soft=True),
    "error_baseline": Entry("D01", "statistical", "agent x tool", "annotate", "medium", soft=True),
    "malformed_result": Entry(
        "D09", "statistical", "agent x tool", "annotate", "medium", soft=True
    ),
    "new_template": Entry("D15", "statistical", "agent x tool", "annotate", "info", soft=True),
    "call_rate": Entry("D03", "rule", "agent x access class", "open", "high"),
    "first_time": Entry(
        "D14", "statistical", "agent", "step-up", "medium", "annotate", "info", soft=True
    ),
    "latency": Entry("D05", "rule", "agent x tool", "throttle", "low", soft=True),
    "latency_baseline": Entry(
        "D05", "statistical", "tool x size class", "annotate", "low", soft=True
    ),
    "cost_cap": Entry("D06", "rule", "run, agent-day", "stop-run", "critical", "annotate", "high"),
    "silence": Entry("D08", "rule", "run, agent", "stop-run", "medium"),
    "divergence": Entry("D24", "rule", "run", "stop-run", "high", "annotate", "medium"),
    "exact_loop": Entry("D10", "rule", "run", "stop-run", "high", "annotate", "medium"),
    "no_progress": Entry("D11", "statistical", "agent x task", "step-up", "medium", soft=True),
    "ping_pong": Entry("D12", "rule", "trace", "stop-run", "high", "annotate", "medium"),
    "task_drift": Entry(
        "D33", "version", "agent x task", "rollback", "medium", "annotate", "medium"
    ),
    "unplanned_step": Entry(
        "D25", "statistical", "agent", "step-up", "high", "annotate", "low", soft=True
    ),
    "trigger_pair": Entry("D25", "statistical", "agent", "step-up", "high", soft=True),
    "unsupported_claim": Entry("D28", "statistical", "agent x task", "annotate", "low", soft=True),
    "step_vector": Entry("D40", "statistical", "agent x action", "annotate", "low", soft=True),
    "sequence_surprise": Entry(
        "D13", "statistical", "agent x task type", "step-up", "high", "annotate", "low", soft=True
    ),
    "canary_rate": Entry("D30", "version", "agent x canary", "rollback", "high"),
    "canary_mix": Entry("D31", "version", "agent x canary", "annotate", "medium"),
    "shadow_pair": Entry("D32", "version", "agent x shadow", "rollback", "high"),
    "tainted_argument": Entry("D20", "rule", "call", "step-up", "high", "annotate", "low"),
    "slow_drift": Entry("D02", "version", "agent", "annotate", "medium"),
    "price_mismatch": Entry("D07", "statistical", "agent x model", "annotate", "medium", soft=True),
    "run_cost": Entry(
        "D06", "statistical", "agent x task", "step-up", "high", "annotate", "medium", soft=True
    ),
    "context_growth": Entry("D06", "rule", "run", "annotate", "medium"),
    "memory_influence": Entry("D26", "rule", "call", "step-up", "high", "annotate", "medium"),
    "tool_changed": Entry("D22", "rule", "agent x tool", "step-up", "high"),
    "skipped_step": Entry("D16", "rule", "run", "block-call", "high", "annotate", "high"),
    "skipped_habit": Entry(
        "D16", "statistical", "agent x task type", "step-up", "medium", "annotate", "low", soft=True
    ),
    "probe_drift": Entry(
        "D34", "version", "agent x probe set", "annotate", "medium", "annotate", "low"
    ),
    "volume": Entry(
        "D03",
        "statistical",
        "agent, agent x class",
        "step-up",
        "high",
        "annotate",
        "low",
        soft=True,
    ),
    "leakage": Entry("D23", "rule", "call", "step-up", "high", "annotate", "low"),
    "sensitive_rate": Entry("D23", "statistical", "agent x tool", "annotate", "medium", soft=True),
    "low_confidence": Entry(
        "D27", "statistical", "agent x version", "step-up", "low", "annotate", "info", soft=True
    ),
    "contention": Entry("D29", "rule", "resource", "annotate", "medium"),
}
