"""One file of the spool: how a record stands in it, and how to find the next sound one.

    marker u32 | length u32 | checksum u32 | bytes of meta u16 | meta | payload

The marker is a random number from the file's name, and the checksum starts from it: no payload can
contain what looks like a record, so a reader that lost its way finds the next one by searching.
"""

import os
import struct
from contextlib import suppress
from typing import NamedTuple
from zlib import crc32

# Larger than the broker's limit of 1,048,588 bytes for a record, so no envelope is refused here.
RECORD_MAX = 2 * 1024 * 1024
META_MAX = 0xFFFF
HEADER = struct.Struct("<IIIH")
_LENGTHS = struct.Struct("<IH")
_SCAN_BYTES = 64 * 1024


class Record(NamedTuple):
    """One envelope as it was appended: its bytes, and what the emitter must know to send it."""

    payload: bytes
    meta: bytes

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return HEADER.size + len(self.meta) + len(self.payload)


class Segment:
    """A file's name, its path, and where its good bytes end.

    Parameters
    ----------
    folder
        Where it stands.
    name
        `number-salt.seg` in hex, 12 and 8 digits: no flipped byte of the file can break them.
    end
        Bytes that may be read.

    Examples
    --------
    >>> segment = Segment("spool", "00000000000a-5eed5eed.seg", end=0)
    >>> segment.number, segment.header(b"payload", b"meta").hex()
    (10, 'ed5eed5e0b000000df4437510400')
    """

    __slots__ = ("end", "name", "number", "path", "salt")

    def __init__(self, folder: str, name: str, end: int) -> None:
        number, salt = name.removesuffix(".seg").split("-")
        self.name, self.path = name, f"{folder}/{name}"
        self.number, self.salt = int(number, 16), int(salt, 16)
        self.end = end

    def header(self, payload: bytes, meta: bytes) -> bytes:
        """The 14 bytes that go before meta and payload."""
        length = len(meta) + len(payload)
        check = checksum(self.salt, length, meta, payload)
        return HEADER.pack(self.salt, length, check, len(meta))

    def read(self, fd: int, at: int) -> Record | None:
        """The record that starts at `at`, None when none does. OSError for the caller."""
        head = os.pread(fd, HEADER.size, at)
        if len(head) < HEADER.size:
            return None
        marker, length, check, split = HEADER.unpack(head)
        if marker != self.salt or not split <= length <= min(RECORD_MAX, self.end - at):
            return None
        body = os.pread(fd, length, at + HEADER.size)
        meta, payload = body[:split], body[split:]
        if len(body) != length or checksum(self.salt, length, meta, payload) != check:
            return None
        return Record(payload, meta)

    def find(self, fd: int, at: int) -> tuple[int, int]:
        """Next place where a sound record starts (or the end), and broken ones passed."""
        marker, passed = self.salt.to_bytes(4, "little"), 0
        while at < self.end:
            chunk = os.pread(fd, min(_SCAN_BYTES, self.end - at), at)
            hit = chunk.find(marker)
            if len(chunk) < len(marker):
                break
            if hit < 0:
                at += len(chunk) - len(marker) + 1  # a marker may lie across two chunks
            elif self.read(fd, at + hit) is not None:
                return at + hit, passed
            else:
                at, passed = at + hit + 1, passed + 1
        return self.end, passed

    def sound_end(self, fd: int) -> int:
        """Where the last sound record ends; what follows is what a crash left unfinished."""
        at = end = 0
        while at < self.end:
            record = self.read(fd, at)
            if record is None:
                at, _ = self.find(fd, at + 1)
            else:
                at = end = at + record.size
        return end


def checksum(salt: int, length: int, meta: bytes, payload: bytes) -> int:
    """CRC-32 over lengths, meta and payload, started from the salt."""
    return crc32(payload, crc32(meta, crc32(_LENGTHS.pack(length, len(meta)), salt)))


def close(fd: int) -> None:
    """Close and hear no complaint: Linux has closed it all the same."""
    with suppress(OSError):
        os.close(fd)
