"""How a call is made, told without its text: the form of its arguments, and its places. Pure."""

from ingest.records import Manner
from stream.origins import VALUES_MAX, number_of
from tracefuse.events import Event

PLACES_MAX = 4  # hosts and mail domains of one call; further ones are left out
_PLACES = frozenset({"host", "domain"})
_MASK = 0xFFFF_FFFF


def manner(event: Event) -> Manner | None:
    """Of a request; None where its process tells neither.

    Where a call acts several times at one place, it does so once here. 32 bits of each keyed hash are kept.
    """
    form = number_of(event.sketches.get("arguments", "")) & _MASK
    told = (one.hash for one in event.fingerprints[:VALUES_MAX] if one.klass in _PLACES)
    places = [number_of(digest) & _MASK for digest in dict.fromkeys(told)]
    return Manner(form, places[:PLACES_MAX]) if form or places else None
