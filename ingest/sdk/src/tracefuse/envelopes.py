"""Third stage of an event: lines in, envelopes out. Pure.

An envelope is the value of one Kafka record: NDJSON, at most 50 lines, all of one partition.
"""

import msgspec

from tracefuse.signing import envelope_mac
from tracefuse.wire import KID, KIND, LINES_MAX, MAC, SPOOLED, VERSION

# Below the smallest of the four limits that are called "1 MB" (1,000,000 bytes), headers included.
BYTES_MAX = 900_000
# A line above this cannot travel. With the cap on inline values none gets near it.
LINE_MAX = BYTES_MAX


class Envelope(msgspec.Struct, gc=False):
    """One record on its way: where to, its value, and how many events of whom it holds."""

    partition: int
    value: bytes
    lines: int
    boot_id: str
    first_seq: int
    queued_at: float = 0.0  # monotonic seconds: since when its oldest line is only in memory
    spooled: bool = False
    kid: str = ""
    mac: bytes = b""

    def headers(self) -> list[tuple[str, bytes]]:
        """Record headers; `spooled` only where it waited on disk."""
        headers = [
            (KIND, b"events"),
            (VERSION, b"1.0"),
            (KID, self.kid.encode()),
            (MAC, self.mac),
        ]
        if self.spooled:
            headers.append((SPOOLED, b"1"))
        return headers


class Seal:
    """Proves envelopes to be of one agent.

    >>> envelope = Envelope(0, b"{}", 1, "b", 1)
    >>> Seal("acme/refunds/1", b"key").close(envelope)
    >>> envelope.kid, len(envelope.mac)
    ('acme/refunds/1', 32)
    """

    def __init__(self, kid: str, key: bytes) -> None:
        self.kid = kid
        self._key = key

    def close(self, envelope: Envelope) -> None:
        """Set key id and MAC, which covers whether it was spooled."""
        envelope.kid = self.kid
        envelope.mac = envelope_mac(self._key, self.kid, envelope.spooled, envelope.value)


class Packer:
    """Collects lines by partition until they leave.

    Parameters
    ----------
    boot_id
        Of the producer whose lines these are.

    Examples
    --------
    >>> packer = Packer("boot")
    >>> packer.add(3, b"{}", seq=1, now=0.0)
    >>> packer.add(3, b"{}", seq=2, now=0.1)
    >>> [(e.partition, e.value, e.lines) for e in packer.flush()]
    [(3, b'{}\\n{}', 2)]
    """

    def __init__(self, boot_id: str) -> None:
        self.boot_id = boot_id
        self.lines = 0
        self._open: dict[int, _Open] = {}

    def add(self, partition: int, line: bytes, seq: int, now: float) -> None:
        """Put a line behind the others of its partition. `now`: monotonic seconds."""
        part = self._open.get(partition)
        if part is None:
            part = self._open[partition] = _Open(seq, now)
        part.add(line, seq, now)
        self.lines += 1

    def flush(self) -> list[Envelope]:
        """Envelopes of all lines, in the order of their first ones."""
        envelopes = [
            Envelope(partition, b"\n".join(lines), len(lines), self.boot_id, seq, queued_at=since)
            for partition, part in self._open.items()
            for lines, seq, since in part.full
        ]
        self._open.clear()
        self.lines = 0
        if len(envelopes) > 1:
            envelopes.sort(key=_first_seq)
        return envelopes


class _Open:
    """Lines of one partition, cut where an envelope is full."""

    __slots__ = ("full", "room")

    def __init__(self, seq: int, now: float) -> None:
        self.full: list[tuple[list[bytes], int, float]] = [([], seq, now)]
        self.room = BYTES_MAX

    def add(self, line: bytes, seq: int, now: float) -> None:
        lines = self.full[-1][0]
        if lines and (len(lines) >= LINES_MAX or len(line) >= self.room):
            lines = []
            self.full.append((lines, seq, now))
            self.room = BYTES_MAX
        lines.append(line)
        self.room -= len(line) + 1


def _first_seq(envelope: Envelope) -> int:
    return envelope.first_seq
