"""What travels on Kafka between an agent and the pipeline: topics, keys, partitions, headers."""

from collections.abc import Sequence
from functools import lru_cache

from aiokafka.partitioner import murmur2

EVENTS = "agent.events.v1"
CONTROL = "agent.control.v1"
REGISTRY = "agent.registry.v1"
VERDICTS = "agent.verdicts.v1"

# Fixed for ever: a changed count would move keys to other owners.
PARTITIONS = 8
# Of `agent.control.v1` there is one more, for what binds more than one agent: all listen to it, so nothing
# else may lie there, or each stop of one run would wake every agent that there is.
WIDE_PARTITION = PARTITIONS
# A verdict wakes all who listen to its partition: of a thousand agents fifteen others, of eight
# partitions it would be 124.
VERDICT_PARTITIONS = 64
# Lines of one record. A record costs a worker 50-65 µs whatever it holds.
LINES_MAX = 50

Headers = Sequence[tuple[str, bytes]]

# Header names. `kind` tells what the lines are; `mac` and `kid` prove whose they are.
KIND = "kind"
VERSION = "v"
KID = "kid"
MAC = "mac"
SIG = "sig"
# Of a second person, where one is not enough.
KID2 = "kid2"
SIG2 = "sig2"
SPOOLED = "spooled"


def trace_key(tenant: str, trace_id: str) -> str:
    """Key of `agent.events.v1`."""
    return f"{tenant}/{trace_id}"


def agent_key(tenant: str, agent_id: str) -> str:
    """Key of all that concerns one agent."""
    return f"{tenant}/{agent_id}"


@lru_cache(maxsize=65536)
def partition_of(key: str, partitions: int = PARTITIONS) -> int:
    """Partition of a key, by Kafka's own murmur2 hash.

    >>> partition_of("acme/refunds")
    6
    """
    hashed: int = murmur2(key.encode())
    return (hashed & 0x7FFFFFFF) % partitions


def verdict_partition(boot_id: str) -> int:
    """Where a process listens for verdicts on its calls."""
    return partition_of(boot_id, VERDICT_PARTITIONS)


def header(headers: Headers, name: str) -> bytes:
    """Value of a header, empty where it is missing or has none, which Kafka allows."""
    for key, value in headers:
        if key == name:
            return value or b""
    return b""
