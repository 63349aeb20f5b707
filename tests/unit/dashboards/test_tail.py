"""What `tracefuse tail` says of a record."""

import msgspec
from aiokafka import ConsumerRecord

from dashboards.commands import tail
from ingest import codec
from ingest.records import InForce
from ingest.topics import CONTROL_LOG
from tracefuse import wire


def record(value: bytes, kind: bytes) -> ConsumerRecord:
    return ConsumerRecord(
        CONTROL_LOG, 0, 0, 1_795_000_000_000, 0, b"k", value, 0, 1, len(value), ((wire.KIND, kind),)
    )  # fmt: skip


def test_a_file_that_came_into_force_is_told_with_its_version() -> None:
    """It decides what is stopped from then on, so it stands beside the stops."""
    file = InForce(
        src=("agent.inbox.v1", 6, 0, 0, 0), tenant="acme", agent_id="refunds", version=7, digest="d",
        kid="registry/1", sig=b"s", payload=b"{}", at=1_795_000_000.0,
    )  # fmt: skip
    told = record(codec.envelope([msgspec.json.encode(file)]), codec.FILES)
    what, kind = "commands", tail.KINDS["commands"][1]

    (line,) = tail._lines(told, kind)
    assert tail._text(what, told.timestamp, line).endswith(
        "version 7 of the agent's file is in force"
    )
    assert tail._concerns(line, "refunds", "")
    assert not tail._concerns(line, "sales", "")
