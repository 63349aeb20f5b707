"""Signatures and message authentication. Keys come in as bytes; nothing here reads a file.

Two proofs: an envelope carries HMAC-SHA256 of the agent's credential, a command Ed25519 of the worker's
(or a person's) key. Both cover raw bytes with length prefixes (DSSE style), never re-serialised JSON.
"""

import hmac
import struct
from collections.abc import Mapping

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey


def packed(*parts: bytes) -> bytes:
    """Unambiguous concatenation: each part behind its length in 8 bytes."""
    return b"".join(struct.pack(">Q", len(part)) + part for part in parts)


def envelope_mac(key: bytes, kid: str, spooled: bool, value: bytes) -> bytes:
    """HMAC-SHA256 of an envelope, 32 bytes. Covers whether the record was spooled."""
    return hmac.digest(key, packed(kid.encode(), b"1" if spooled else b"0", value), "sha256")


def derive(master: bytes, *path: str) -> bytes:
    """A key of its own for each purpose and owner, 32 bytes."""
    return hmac.digest(master, packed(*(step.encode() for step in path)), "sha256")


class CommandSigner:
    """Signs commands with one Ed25519 key. About 50 µs a command."""

    def __init__(self, kid: str, seed: bytes):
        self.kid = kid
        self._key = Ed25519PrivateKey.from_private_bytes(seed)

    @property
    def public(self) -> bytes:
        """Raw public key, 32 bytes: what readers pin."""
        return self._key.public_key().public_bytes_raw()

    def sign(self, record_key: str, payload: bytes) -> bytes:
        return self._key.sign(packed(self.kid.encode(), record_key.encode(), payload))


class CommandVerifier:
    """Checks commands against pinned public keys. About 170 µs a command.

    Parameters
    ----------
    keys
        Raw public keys by key id. A key id tells its author by its prefix: ``auto/…``,
        ``human/…`` or ``registry/…``.
    """

    def __init__(self, keys: Mapping[str, bytes]):
        self._raw = dict(keys)
        self._keys = {kid: Ed25519PublicKey.from_public_bytes(raw) for kid, raw in keys.items()}

    def same(self, one: str, other: str) -> bool:
        """Whether two key ids name one and the same key, or an unknown one."""
        known = self._raw.get(one), self._raw.get(other)
        return None in known or known[0] == known[1]

    def verify(self, kid: str, record_key: str, payload: bytes, sig: bytes) -> bool:
        """True only for an exact signature of a pinned key over these very bytes."""
        key = self._keys.get(kid)
        if key is None:
            return False
        try:
            key.verify(sig, packed(kid.encode(), record_key.encode(), payload))
        except InvalidSignature:
            return False
        return True
