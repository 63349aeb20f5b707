"""Which values of an order may be what an action waits for. Pure."""

import msgspec

from stream.join.origins import number_of
from tracefuse.events import Event

HEARD_MAX = 16  # values of one order
_BITS = 0x7FFF_FFFF
_VAGUE = frozenset({"amount", "domain"})  # they repeat by chance, or are part of another value


class Order(msgspec.Struct, array_like=True):
    """What the order of one agent's run holds, until its next call has told it."""

    heard: list[int] = []
    told: bool = True

    def hear(self, event: Event) -> None:
        """The user speaks. 4 bytes a value, 16 values."""
        found = [
            number_of(one.hash) & _BITS for one in event.fingerprints if one.klass not in _VAGUE
        ]
        self.heard = list(dict.fromkeys([*self.heard, *found]))[:HEARD_MAX]
        self.told = not self.heard

    def tell(self) -> list[int]:
        """All of it, once."""
        if self.told:
            return []
        self.told = True
        return self.heard

    def used(self, event: Event) -> list[int]:
        """What of it a call's arguments hold: that explains the call."""
        if not self.heard or not event.fingerprints:
            return []
        held = {number_of(one.hash) & _BITS for one in event.fingerprints}
        return [one for one in self.heard if one in held]
