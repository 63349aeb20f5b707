"""Whose word counts: one person's signature for one scope, two people's for the whole fleet.

A key id tells the person: ``human/1`` and ``human/2`` are two generations of one person's key,
``human/second/1`` is somebody else's.
"""

import msgspec

from tracefuse import control
from tracefuse.control import Command
from tracefuse.signing import CommandSigner, CommandVerifier

AUTHOR = "human"
# What takes two people: everything stands still, or everything goes on.
TWO_PEOPLE = ("fleet",)


class Signed(msgspec.Struct, gc=False, frozen=True, omit_defaults=True, kw_only=True):
    """A command as its signed bytes, by one person or by two."""

    payload: bytes
    kid: str
    sig: bytes
    kid2: str = ""
    sig2: bytes = b""


def sign(command: Command, signer: CommandSigner) -> Signed:
    """A command with its first signature."""
    payload = control.encode(command)
    key = control.control_key(command.scope, command.author)
    return Signed(payload=payload, kid=signer.kid, sig=signer.sign(key, payload))


def cosign(signed: Signed, signer: CommandSigner) -> Signed:
    """The same bytes with a second signature. Whether it counts, `proven` says."""
    key = control.control_key(control.decode(signed.payload).scope, AUTHOR)
    sig = signer.sign(key, signed.payload)
    return msgspec.structs.replace(signed, kid2=signer.kid, sig2=sig)


def person(kid: str) -> str:
    """Whose key it is, whatever its generation.

    >>> person("human/2"), person("human/second/1")
    ('human', 'human/second')
    """
    return kid.rpartition("/")[0]


def proven(verifier: CommandVerifier, record_key: str, signed: Signed) -> bool:
    """Whether as many people as the scope asks for have signed these very bytes for this very key."""
    scope = record_key.rpartition(":")[0]
    if not by_person(verifier, record_key, signed.payload, signed.kid, signed.sig):
        return False
    if scope not in TWO_PEOPLE:
        return True
    return (
        person(signed.kid) != person(signed.kid2)
        and not verifier.same(signed.kid, signed.kid2)
        and by_person(verifier, record_key, signed.payload, signed.kid2, signed.sig2)
    )


def opened(verifier: CommandVerifier, signed: Signed) -> Command:
    """The command of a person, or of two. Raises `ValueError` with the reason, in words."""
    try:
        command = control.decode(signed.payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"it can't be read ({str(error)[:200]})") from error
    key = control.control_key(command.scope, AUTHOR)
    if command.author != AUTHOR or not proven(verifier, key, signed):
        raise ValueError("it is not signed by as many people as it takes")
    return command


def by_person(
    verifier: CommandVerifier, record_key: str, payload: bytes, kid: str, sig: bytes
) -> bool:
    """Whether one person has signed these bytes for this key."""
    return kid.partition("/")[0] == AUTHOR and verifier.verify(kid, record_key, payload, sig)
