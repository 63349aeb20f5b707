"""Whether somebody decides about this agent: a signed sign of life of its inbox partition. Pure.

The owner of each partition writes one every 5 s while its records are applied. Without one for 60 s what
can't be taken back is denied: nobody would stop it.
"""

from math import inf

import msgspec

from tracefuse.signing import CommandSigner, CommandVerifier
from tracefuse.wire import agent_key, partition_of

EVERY_SECONDS = 5.0
SILENT_SECONDS = 60.0
# How far the clocks of agent and worker may differ when an expiry is judged (F12).
SKEW_SECONDS = 30.0
PREFIX = "alive:"
AUTHOR = "auto"


class Sign(msgspec.Struct, frozen=True):
    """The owner of a partition lives: its term, and when it said so (µs UTC)."""

    term: int
    at: int


_decode = msgspec.json.Decoder(Sign).decode


def key_of(partition: int) -> str:
    """Record key on `agent.control.v1`; the record lies in the partition of the same number.

    >>> key_of(6)
    'alive:6'
    """
    return f"{PREFIX}{partition}"


def sealed(partition: int, term: int, at: int, signer: CommandSigner) -> tuple[bytes, bytes]:
    """Payload and signature of a sign."""
    payload = msgspec.json.encode(Sign(term, at))
    return payload, signer.sign(key_of(partition), payload)


class Life:
    """Signs of life of one agent's partition.

    Examples
    --------
    >>> life = Life("acme", "refunds", CommandVerifier({}))
    >>> life.silent(now=1e9)
    False
    >>> life.begin(now=100.0)
    >>> life.silent(now=159.0), life.silent(now=161.0)
    (False, True)
    """

    def __init__(self, tenant: str, agent_id: str, verifier: CommandVerifier) -> None:
        self.until = inf  # monotonic seconds; nobody listens yet
        self._key = key_of(partition_of(agent_key(tenant, agent_id)))
        self._verifier = verifier
        self._last = (-1, 0)

    def begin(self, now: float) -> None:
        """From now on signs are heard: one must come. `now` is monotonic seconds."""
        self.until = now + SILENT_SECONDS

    def silent(self, now: float) -> bool:
        """Whether none came for too long."""
        return now > self.until

    def hear(
        self, key: str, value: bytes | None, kid: str, sig: bytes, now_us: int, now: float
    ) -> str:
        """Take a record of the control topic. Why it was refused; empty also for what is merely old.

        Parameters
        ----------
        key, value, kid, sig
            Of the record.
        now_us, now
            µs UTC, for expiry; monotonic seconds.
        """
        if key != self._key or value is None:
            return ""
        try:
            sign = _decode(value)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return "undecodable"
        # A sign from before is none: it would let a dead worker live. Seen before it is verified.
        limit_us = (SILENT_SECONDS + SKEW_SECONDS) * 1e6
        if (sign.term, sign.at) <= self._last or now_us > sign.at + limit_us:
            return ""
        if kid.partition("/")[0] != AUTHOR:
            return "author"
        if not self._verifier.verify(kid, key, value, sig):
            return "signature"
        self._last = (sign.term, sign.at)
        self.until = now + SILENT_SECONDS
        return ""
