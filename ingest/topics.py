"""Every topic: its name, policy, and who writes into it. Counts are fixed where partitions have owners."""

from dataclasses import dataclass

from tracefuse.wire import (
    CONTROL,
    EVENTS,
    PARTITIONS,
    REGISTRY,
    VERDICT_PARTITIONS,
    VERDICTS,
    WIDE_PARTITION,
)

INBOX = "agent.inbox.v1"
FLEET = "agent.fleet.v1"
APPROVALS = "agent.approvals.v1"
SIGNALS = "agent.signals.v1"
CONTROL_LOG = "agent.control-log.v1"
INCIDENTS = "agent.incidents.v1"
BASELINES = "agent.baselines.v1"
STATE = "agent.state.v1"
DLQ = "agent.dlq.v1"
QUARANTINE = "agent.quarantine.v1"

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic. ``retention_days`` 0 means compacted.

    Agents listen to a part of one that ``grows``, and nobody owns a partition of it: it may get more of them.
    """

    name: str
    partitions: int = PARTITIONS
    retention_days: int = 7
    grows: bool = False
    extra: tuple[tuple[str, str], ...] = ()

    def config(self) -> dict[str, str]:
        """Topic settings as Kafka names them."""
        config = {"message.timestamp.type": "LogAppendTime"}
        if self.retention_days:
            config |= {
                "cleanup.policy": "delete",
                "retention.ms": str(self.retention_days * DAY_MS),
            }
        else:
            config |= {"cleanup.policy": "compact"}
        return config | dict(self.extra)


# Small segments let the cleaner work on what is rewritten every second; the lag keeps a stale write of
# a worker that was taken for dead from replacing a good one before anybody has read both.
_REWRITTEN = (
    ("segment.bytes", str(16 << 20)),
    ("segment.ms", "600000"),
    ("min.cleanable.dirty.ratio", "0.3"),
    ("min.compaction.lag.ms", "300000"),
)

TOPICS: dict[str, Topic] = {
    topic.name: topic
    for topic in (
        Topic(EVENTS),
        Topic(INBOX),
        Topic(FLEET, partitions=1),
        Topic(SIGNALS, retention_days=30),
        Topic(VERDICTS, partitions=VERDICT_PARTITIONS, grows=True),
        Topic(APPROVALS, retention_days=183),
        Topic(
            CONTROL, partitions=WIDE_PARTITION + 1, retention_days=0, grows=True, extra=_REWRITTEN
        ),
        Topic(CONTROL_LOG, retention_days=183),
        Topic(REGISTRY, retention_days=0),
        Topic(INCIDENTS, retention_days=183),
        Topic(BASELINES, retention_days=0, extra=_REWRITTEN),
        Topic(STATE, retention_days=0, extra=_REWRITTEN),
        Topic(DLQ, retention_days=14),
        Topic(QUARANTINE, retention_days=14),
    )
}

__all__ = [
    "APPROVALS", "BASELINES", "CONTROL", "CONTROL_LOG", "DLQ", "EVENTS", "FLEET", "INBOX", "INCIDENTS",
    "PARTITIONS", "QUARANTINE", "REGISTRY", "SIGNALS", "STATE", "TOPICS", "VERDICTS", "Topic",
]  # fmt: skip
