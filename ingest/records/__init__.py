"""Every record that the pipeline derives: facts from join, findings from detect, incidents from correlate.

All carry `src`: (topic, partition, offset, line, number) of the input they were computed from. Consumers
keep the highest one per source and drop the rest, so a replay after a crash changes nothing.
"""

from ingest.records.alarms import Acknowledged, Census, Incident, Reopened, Signal, Summary
from ingest.records.answers import (
    IncidentLabel,
    Judgement,
    Label,
    Outcome,
    Sampled,
    Truth,
    Wanted,
)
from ingest.records.facts import (
    AgentFact,
    Braked,
    Decided,
    Decision,
    Derived,
    Fact,
    IncidentReview,
    IncidentReviewed,
    Ordered,
    Registered,
    Review,
    Reviewed,
)
from ingest.records.marks import NO_SRC, EvidenceClass, Src
from ingest.records.priors import Baseline, Belief, Learned, Moments, Prior
from ingest.records.reading import DeadLetter, Owner
from ingest.records.steps import (
    Account,
    Ack,
    Alive,
    Asked,
    Kept,
    Loop,
    Origin,
    Provenance,
    Ref,
    Run,
    RunTotals,
    Step,
    Value,
)

__all__ = [
    "Account",
    "Ack",
    "Acknowledged",
    "AgentFact",
    "Alive",
    "Asked",
    "Baseline",
    "Belief",
    "Braked",
    "Census",
    "DeadLetter",
    "Decided",
    "Decision",
    "Derived",
    "EvidenceClass",
    "Fact",
    "Incident",
    "IncidentLabel",
    "IncidentReview",
    "IncidentReviewed",
    "Judgement",
    "Kept",
    "Label",
    "Learned",
    "Loop",
    "Moments",
    "NO_SRC",
    "Ordered",
    "Origin",
    "Outcome",
    "Owner",
    "Prior",
    "Provenance",
    "Ref",
    "Registered",
    "Reopened",
    "Review",
    "Reviewed",
    "Run",
    "RunTotals",
    "Sampled",
    "Signal",
    "Src",
    "Step",
    "Summary",
    "Truth",
    "Value",
    "Wanted",
]
