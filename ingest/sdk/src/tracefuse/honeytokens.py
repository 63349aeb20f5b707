"""Honeytokens: values that nobody needs, planted where only who copies everything picks them up. Pure.

A record that no work asks for carries one; a call that carries it on has taken what was not its own to take.
The second half of a token proves the first with the tenant's key, so that each process of the tenant knows
each token without a list, and nobody without the key makes one.
"""

import base64
import re

from tracefuse.canonical import keyed_hash
from tracefuse.events import HONEYTOKEN

BYTES = 10
_PREFIX = "tfh1"
_FORM = re.compile(rf"{_PREFIX}([a-z2-7]{{16}})([a-z2-7]{{16}})")


def token(key: bytes, chance: bytes) -> str:
    """The token of ten random bytes: 36 letters and digits, which stay whole in a URL, a name or a file.

    Raises `ValueError` to the caller's author where there are more or fewer bytes.

    >>> made = token(b"key", bytes(10))
    >>> made, carried(b"key", f"https://x.example/?q={made.upper()}"), carried(b"other", made)
    ('tfh1aaaaaaaaaaaaaaaanrrrblcuxolrcfdr', True, False)
    """
    if len(chance) != BYTES:
        raise ValueError(f"{BYTES} random bytes make a token")
    name = base64.b32encode(chance).decode().lower()
    return _PREFIX + name + _proof(key, name)


def carried(key: bytes, text: str) -> bool:
    """Whether a text holds a token of this tenant, however it is written in upper and lower case.

    It fails on one that is spelt out, split or encoded. About 1 µs a kB.
    """
    low = text.lower()
    if _PREFIX not in low:
        return False
    return any(_proof(key, found[1]) == found[2] for found in _FORM.finditer(low))


def _proof(key: bytes, name: str) -> str:
    digest = keyed_hash(key, f"{HONEYTOKEN}/{name}".encode())
    return base64.b32encode(bytes.fromhex(digest)[:BYTES]).decode().lower()
