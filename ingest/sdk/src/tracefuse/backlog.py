"""Where envelopes wait while the broker is away: on disk (`spool.Spool`), or in memory without one."""

from collections import deque
from typing import Protocol

from tracefuse.segment import Record


class Backlog(Protocol):
    """What the delivery needs of a spool."""

    @property
    def empty(self) -> bool: ...
    @property
    def size(self) -> int: ...
    def append(self, payload: bytes, meta: bytes = b"") -> bool: ...
    def sync(self) -> bool: ...
    def peek(self, count: int) -> list[Record]: ...
    def ack(self, count: int) -> None: ...
    def close(self) -> None: ...


class MemoryBacklog:
    """Stands in for the spool where no folder is given; lost with the process.

    >>> backlog = MemoryBacklog(max_bytes=4)
    >>> backlog.append(b"abc"), backlog.append(b"de"), len(backlog.peek(9))
    (True, False, 1)
    """

    def __init__(self, max_bytes: int) -> None:
        self._records: deque[Record] = deque()
        self._max_bytes = max_bytes
        self.size = 0

    @property
    def empty(self) -> bool:
        return not self._records

    def append(self, payload: bytes, meta: bytes = b"") -> bool:
        if self.size + len(payload) > self._max_bytes:
            return False
        self._records.append(Record(payload, meta))
        self.size += len(payload)
        return True

    def sync(self) -> bool:
        return True

    def peek(self, count: int) -> list[Record]:
        return [record for record, _ in zip(self._records, range(count), strict=False)]

    def ack(self, count: int) -> None:
        for _ in range(count):
            self.size -= len(self._records.popleft().payload)

    def close(self) -> None:
        self._records.clear()
