"""The answer to a held call: its words, its line on `agent.verdicts.v1`, and the proof of its origin. Pure.

    worker ──seal──► one line of NDJSON ──► open_line, in the agent's process ──► Verdict

A line names the process that asked (`boot_id`); others skip it without decoding. The MAC is made with
the key that the agent's envelopes are proved with, under a name of its own, so an agent can be deceived
by nobody but itself.
"""

import hmac
from typing import Literal

import msgspec

from tracefuse.signing import packed

Word = Literal["allow", "deny", "throttle", "needs_approval"]
GOES_ON = ("allow", "throttle")


class Verdict(msgspec.Struct, gc=False, frozen=True, omit_defaults=True, kw_only=True):
    """What one held call may do.

    Parameters
    ----------
    call_id, attempt
        Which asking it answers: there is one verdict for each.
    boot_id
        The process that asked.
    word
        ``allow``, ``deny``, ``throttle`` (allow after `delay_ms`) or ``needs_approval``.
    gate, reason
        The gate of the policy that decided, and its words for the agent's author.
    approval_id
        What a person has to answer, where one has to.
    """

    call_id: str
    attempt: int
    tenant: str
    agent_id: str
    trace_id: str
    boot_id: str
    word: Word
    gate: str = ""
    reason: str = ""
    delay_ms: int = 0
    approval_id: str = ""
    src: tuple[str, int, int, int, int] | None = None


class Sealed(msgspec.Struct, gc=False, frozen=True):
    """How it travels: the verdict's own bytes, the key's name and the proof."""

    boot_id: str
    verdict: msgspec.Raw
    kid: str = ""
    mac: str = ""


encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Verdict).decode
unseal = msgspec.json.Decoder(Sealed).decode


def mac(key: bytes, kid: str, verdict: bytes) -> str:
    """HMAC-SHA256 of a verdict's bytes, hex; an envelope's proof is never one of these."""
    return hmac.digest(key, packed(b"verdict", kid.encode(), verdict), "sha256").hex()


def seal(boot_id: str, verdict: bytes, kid: str, key: bytes) -> bytes:
    """The line of an encoded verdict."""
    return encode(Sealed(boot_id, msgspec.Raw(verdict), kid, mac(key, kid, verdict)))


def open_line(line: bytes, kid: str, key: bytes) -> Verdict | None:
    """The verdict of a line that this agent's key proves; None for any other line. Never raises.

    >>> said = Verdict(call_id="c", attempt=1, tenant="acme", agent_id="refunds", trace_id="t",
    ...                boot_id="b", word="allow")
    >>> line = seal("b", encode(said), "acme/refunds/1", b"key")
    >>> open_line(line, "acme/refunds/1", b"key").word, open_line(line, "acme/refunds/1", b"other")
    ('allow', None)
    """
    try:
        found = unseal(line)
        payload = bytes(found.verdict)
        proved = found.kid == kid and hmac.compare_digest(found.mac, mac(key, kid, payload))
        verdict = decode(payload) if proved else None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, TypeError):
        return None
    return verdict if verdict is not None and verdict.boot_id == found.boot_id else None


def stripped(line: bytes) -> bytes:
    """The verdict's own bytes in a line. Raises `msgspec.MsgspecError` for what is no line."""
    return bytes(unseal(line).verdict)
