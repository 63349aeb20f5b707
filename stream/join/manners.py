"""How a call is made, told without its text: form of its arguments, places, what it is about. Pure."""

from ingest.records import Manner
from stream.join.origins import VALUES_MAX, number_of
from tracefuse.events import Event

PLACES_MAX = 4  # hosts and mail domains of one call; further ones are left out
THINGS_MAX = 4  # that a call is about: ids, files, accounts, pages
_THINGS = frozenset({"id", "path", "account", "url"})
_PLACES = frozenset({"host", "domain"})
_MASK = 0xFFFF_FFFF


def manner(event: Event) -> Manner | None:
    """Of a request; None where its process tells nothing of it.

    Where a call acts several times at one place, it does so once here. 32 bits of each keyed hash are kept.
    What it is about is what its author names (`resource`), else its ids, files, accounts and pages.
    """
    sketches = event.sketches
    form = number_of(sketches.get("arguments", "")) & _MASK
    where: list[int] = []
    about: list[int] = []
    if event.fingerprints:
        told = [(one.klass, one.hash) for one in event.fingerprints[:VALUES_MAX]]
        where = _short([digest for klass, digest in told if klass in _PLACES], PLACES_MAX)
        if "resource" not in sketches:
            about = _short([digest for klass, digest in told if klass in _THINGS], THINGS_MAX)
    if "resource" in sketches:
        named = number_of(sketches["resource"]) & _MASK
        about = [named] if named else []
    return Manner(form, where, about) if form or where or about else None


def _short(digests: list[str], most: int) -> list[int]:
    return [number_of(digest) & _MASK for digest in list(dict.fromkeys(digests))[:most]]
