"""States of one kind in a partition that holds several kinds: no more than so many of each. Pure."""

from collections.abc import Iterable
from typing import Any

from stream.partition import Partition


class Room:
    """How many keys of one kind a partition holds.

    Parameters
    ----------
    partition
        Holds them, beside others.
    prefix
        Of their keys, and of no others.
    kind
        Of their states.
    most
        Keys at a time; what comes beyond is not taken in, so that no kind drives out another.
    """

    def __init__(self, partition: Partition[Any], prefix: str, kind: type, most: int):
        self._partition, self._prefix, self._kind = partition, prefix, kind
        self.most = most
        self.taken = 0

    def has(self, key: str) -> bool:
        """Whether a key may be opened: it is there, or there is a place left, which it takes."""
        if self._partition.get(key) is not None:
            return True
        free = self.taken < self.most
        self.taken += free
        return free

    def drop(self, key: str) -> None:
        """A key of this kind is no more."""
        self._partition.drop(key)
        self.taken -= 1

    def gone(self, state: object) -> None:
        """The partition has forgotten a state, of whatever kind."""
        self.taken -= isinstance(state, self._kind)

    def restored(self, keys: Iterable[str]) -> None:
        """The partition is again what these keys say."""
        self.taken = sum(key.startswith(self._prefix) for key in keys)
