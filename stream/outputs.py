"""What a decision leaves behind: lines for topics. The edge groups them into records and sends them."""

from typing import NamedTuple

from tracefuse.control import Command
from tracefuse.verdicts import Verdict


class Line(NamedTuple):
    """One line for a topic. The edge finds the partition from the key."""

    topic: str
    key: str
    kind: bytes
    value: bytes


class Placed(NamedTuple):
    """One line for a partition that is named: what every owner must hear has no key."""

    topic: str
    partition: int
    kind: bytes
    value: bytes


class Latest(NamedTuple):
    """The newest word on a key of a compacted topic. People read it; nothing is decided by it."""

    topic: str
    key: str
    kind: bytes
    value: bytes


class Order(NamedTuple):
    """A command for the control topic and its log; the edge adds term and time, and signs it."""

    command: Command


class Forget(NamedTuple):
    """A scope that has ended: its control record gets a tombstone."""

    key: str


class Answer(NamedTuple):
    """A verdict for the process that asked; the edge proves it with the key `kid` of its agent."""

    verdict: Verdict
    kid: str


Output = Line | Placed | Latest | Order | Forget | Answer
