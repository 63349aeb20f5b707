"""What could not be read, kept with its origin and reason, byte for byte up to half a megabyte; and how
much of it is too much. A reader that can read nothing has a fault itself: it stops before it has set a
whole topic aside.
"""

import hashlib
from collections.abc import Sequence

from ingest import codec
from ingest.records import DeadLetter, Src
from ingest.topics import DLQ, QUARANTINE
from stream.outputs import Line, Output
from tracefuse import wire
from tracefuse.errors import DecodeError

DETAIL_MAX = 256
# In base64 a third longer: it must fit a record, or what can't be read would stop the reader. The whole
# is in its topic, and the hash is that of the whole.
RAW_BYTES_MAX = 512 * 1024

ROW_MAX = 10  # lines in a row, without one that could be read
SHARE_MAX, SHARE_LINES = 0.05, 200  # of so many lines at least


OURS = b""  # a record that no agent wrote


class TooManyDeadLetters(RuntimeError):
    """To the operator: most likely this version can't read what another has written. The text says where."""


class Limit:
    """Watches one partition, and says when its reader has to stop.

    Lines in a row are those of records in which nothing could be read. The share is that of the last
    200 to 400 lines, so that a long time without faults does not excuse a new one. Where agents wrote
    the records, it takes two of them: one agent that writes rubbish has a fault of its own, and must
    not be able to stop what watches all the others.

    Examples
    --------
    >>> limit = Limit()
    >>> for _ in range(9):
    ...     limit.take(lines=1, dead=1)
    >>> limit.reached
    ''
    >>> limit.take(lines=1, dead=1)
    >>> limit.reached
    '10 lines in a row'
    """

    def __init__(self) -> None:
        self.reached = ""  # what was reached, in words; it stays
        self._row = 0
        self._lines = self._dead = 0.0
        self._in_row: set[bytes] = set()  # whose they were; two names are all that is asked for
        self._in_share: set[bytes] = set()

    def take(self, lines: int, dead: int, whose: bytes = OURS) -> None:
        """The next record: how many lines count, how many of them could not be read, who wrote it."""
        if dead:
            _remember(self._in_row, whose)
            _remember(self._in_share, whose)
        if dead == lines:
            self._row += dead
        else:
            self._row = 0
            self._in_row.clear()
        self._lines += lines
        self._dead += dead
        if self._row >= ROW_MAX and _several(self._in_row):
            self.reached = f"{self._row} lines in a row"
        elif (
            self._lines >= SHARE_LINES
            and self._dead >= SHARE_MAX * self._lines
            and _several(self._in_share)
        ):
            self.reached = f"{self._dead:.0f} of {self._lines:.0f} lines"
        if self._lines >= 2 * SHARE_LINES:
            self._lines, self._dead = self._lines / 2, self._dead / 2
            self._in_share.clear()

    def stop(self, topic: str, partition: int, offset: int) -> TooManyDeadLetters:
        """What to raise once it is reached, `offset` being the last one read."""
        place = f"{topic}/{partition}"
        return TooManyDeadLetters(f"{self.reached} of {place} can't be read, up to offset {offset}")


def _remember(names: set[bytes], whose: bytes) -> None:
    if whose == OURS or len(names) < 2:
        names.add(whose)


def _several(names: set[bytes]) -> bool:
    return len(names) > 1 or OURS in names


def counted(headers: wire.Headers, value: bytes, outputs: Sequence[Output]) -> tuple[int, int]:
    """Lines of a record that count for its partition's `Limit`, and the dead ones among them.

    What is quarantined counts for nobody: else a forger could stop the reader, or hide what does.
    """
    if wire.header(headers, wire.KIND) not in (codec.EVENTS, codec.INBOX) or not value:
        return 0, 0
    topics = [output.topic for output in outputs if isinstance(output, Line)]
    if QUARANTINE in topics:
        return 0, 0
    return value.count(b"\n") + (not value.endswith(b"\n")), topics.count(DLQ)


def letter(src: Src, error: DecodeError, raw: bytes) -> bytes:
    """The dead-letter line of `raw`, read at `src`."""
    topic, partition, offset, line, _ = src
    dead = DeadLetter(
        topic=topic, partition=partition, offset=offset, line=line, reason=error.reason,
        detail=str(error)[:DETAIL_MAX], sha256=hashlib.sha256(raw).hexdigest(),
        raw=raw[:RAW_BYTES_MAX],
    )  # fmt: skip
    return codec.encode(dead)
