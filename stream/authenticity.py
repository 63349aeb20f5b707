"""Whether an envelope is of the agent it names. One check for join and sink: what one refuses, both do."""

import re
from functools import lru_cache
from hmac import compare_digest

from tracefuse import credentials
from tracefuse.signing import envelope_mac

_GENERATION = re.compile(r"[0-9]{1,9}")  # of a key id: a number, and no work to read


def authentic(master: bytes, kid: str, spooled: bool, mac: bytes, value: bytes) -> bool:
    """Whether the envelope is of the agent whose key `kid` names.

    Parameters
    ----------
    master
        The key from which the credentials of all agents derive.
    kid, spooled, mac, value
        Of the record: key id, whether it waited on a disk, its proof, its lines.
    """
    key = envelope_key(master, kid)
    return bool(key and mac) and compare_digest(envelope_mac(key, kid, spooled, value), mac)


def envelope_key(master: bytes, kid: str) -> bytes:
    """The key of an agent's envelopes and verdicts; empty for an id that is none."""
    parts = kid.split("/")
    if len(parts) != 3 or not _GENERATION.fullmatch(parts[2]):
        return b""
    return _envelope_key(master, parts[0], parts[1], int(parts[2]))


@lru_cache(maxsize=65536)
def _envelope_key(master: bytes, tenant: str, agent_id: str, generation: int) -> bytes:
    return credentials.envelope_key(master, tenant, agent_id, generation)
