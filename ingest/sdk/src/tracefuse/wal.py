"""The write-ahead log of one process: one locked folder of segment files and a place in them.

    append ──► newest segment          `place`: how far it was delivered, replaced by rename
    peek, ack ◄── oldest segment       a segment that was delivered whole is deleted

Between `segment.py`, which knows bytes, and `spool.py`, which knows processes and bounds.
"""

import os
import re
import struct
from collections.abc import Iterator
from zlib import crc32

from tracefuse.segment import Record, Segment, close

# Memory that one `peek` may fill.
PEEK_BYTES = 4 * 1024 * 1024
# A disk that could not read the same place this often will not read it later either.
READ_TRIES = 10
_NAME = re.compile(r"[0-9a-f]{12}-[0-9a-f]{8}\.seg")
_PLACE = struct.Struct("<QI")  # offset, checksum; the segment's name follows


class Counts:
    """What went wrong: records skipped, tails cut, system calls that failed."""

    __slots__ = ("corrupt", "errors", "torn")

    def __init__(self) -> None:
        self.corrupt = self.torn = self.errors = 0


class Log:
    """The segments of a folder that this process has locked.

    Parameters
    ----------
    folder
        Holds nothing but this log.
    lock
        Descriptor of the held lock; closed by `close`.
    segment_bytes
        Size from which a new segment is begun, > 0.
    counts
        Shared with the other logs of a spool.

    Raises
    ------
    OSError
        From the constructor only, for the spool: the folder cannot be read.
    ValueError
        For the developer: an `ack` of more than was peeked.

    Notes
    -----
    A start never appends to an old segment: a tail that could not be cut then harms nobody.
    """

    def __init__(self, folder: str, lock: int, segment_bytes: int, counts: Counts) -> None:
        self._folder, self._lock, self._segment_bytes = folder, lock, segment_bytes
        self._counts = counts
        self._out = self._in = -1  # descriptors of the segment written and of the one read
        self._in_number = -1
        self._dirty = self._folder_dirty = False
        self._sync_failed = False
        self._reads_failed = 0
        self._peeked: list[tuple[int, int]] = []  # (segment, offset) behind each record
        self._counted = (0, 0)  # what was skipped before this place is in the counts
        names = sorted(name for name in os.listdir(folder) if _NAME.fullmatch(name))
        self._segments = [Segment(folder, n, os.stat(f"{folder}/{n}").st_size) for n in names]
        self._number = self._segments[-1].number if self._segments else 0
        self._head = (self._segments[0].number if self._segments else 0, 0)
        self._restore_place()
        self._cut_tail()

    @property
    def size(self) -> int:
        """Bytes of all segments."""
        return sum(segment.end for segment in self._segments)

    @property
    def pending(self) -> bool:
        """Something waits for an ack."""
        return any(s.end and (s.number, s.end) > self._head for s in self._segments)

    def append(self, payload: bytes, meta: bytes) -> bool:
        """Hand a record to the system; False when the disk refused."""
        try:
            if self._out < 0 or self._segments[-1].end >= self._segment_bytes:
                self._roll()
            segment = self._segments[-1]
            parts = [segment.header(payload, meta), meta, payload]
            if os.pwritev(self._out, parts, segment.end) == sum(map(len, parts)):
                segment.end += sum(map(len, parts))
                self._dirty = True
                return True
        except OSError:
            pass
        self._counts.errors += 1
        self._retreat()
        return False

    def _roll(self) -> None:
        if not self.sync():
            self._sync_failed = True  # the next answer of `sync` must tell
        self._close_out()
        salt = int.from_bytes(os.urandom(4), "little") | 1  # zero would look like an empty page
        segment = Segment(self._folder, f"{self._number + 1:012x}-{salt:08x}.seg", 0)
        self._out = os.open(segment.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._number += 1
        self._segments.append(segment)
        self._folder_dirty = True

    def _retreat(self) -> None:
        # A part of a record may stand at the end. If it cannot be cut, go on in another file.
        if self._out >= 0:
            try:
                os.ftruncate(self._out, self._segments[-1].end)
            except OSError:
                self._close_out()

    def sync(self) -> bool:
        """Flush records to the disk; False once for each time it refused."""
        good, self._sync_failed = not self._sync_failed, False
        try:
            if self._dirty:
                self._dirty = False
                os.fsync(self._out)
            if self._folder_dirty:  # a loss of power could forget a file with all it holds
                self._sync_folder()
                self._folder_dirty = False
        except OSError:
            # Linux reports it once and may drop the pages: a second sync of this file would lie.
            self._counts.errors += 1
            self._close_out()
            return False
        return good

    def _sync_folder(self) -> None:
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            close(folder)

    def peek(self, count: int) -> list[Record]:
        """The oldest records, the same again until `ack`; fewer when the disk cannot read."""
        records: list[Record] = []
        self._peeked = []
        left = PEEK_BYTES
        try:
            for record, place in self._read_on():
                if record is None:
                    self._head = self._head if records else place
                    continue
                records.append(record)
                self._peeked.append(place)
                left -= record.size
                if len(records) >= count or left <= 0:
                    break
            self._reads_failed = 0
        except OSError:
            self._counts.errors += 1
            self._close_in()
            self._reads_failed += not records
            if self._reads_failed >= READ_TRIES:
                self._give_up_segment()
        if not records:
            self._reclaim()
        return records

    def _read_on(self) -> Iterator[tuple[Record | None, tuple[int, int]]]:
        """Records after the head with the place behind each; None where bytes were skipped."""
        number, at = self._head
        for segment in list(self._segments):
            if segment.number < number:
                continue
            at = at if segment.number == number else 0
            while at < segment.end:
                self._open_in(segment)
                record = segment.read(self._in, at)
                if record is not None:
                    at += record.size
                else:
                    at = self._skip(segment, at)
                yield record, (segment.number, at)

    def _skip(self, segment: Segment, start: int) -> int:
        at, passed = segment.find(self._in, start + 1)
        if (segment.number, start) >= self._counted:  # a second peek counts nothing again
            self._counted = (segment.number, start + 1)
            if at == segment.end and not passed:
                self._counts.torn += 1
            else:
                self._counts.corrupt += 1 + passed
        return at

    def _give_up_segment(self) -> None:
        self._counts.corrupt += 1
        self._reads_failed = 0
        number = next((s.number for s in self._segments if s.number >= self._head[0]), self._number)
        self._head = (number + 1, 0)

    def ack(self, count: int) -> None:
        """Forget the oldest records of the last peek."""
        if not 0 <= count <= len(self._peeked):
            raise ValueError(f"{len(self._peeked)} records were peeked, not {count}")
        if count:
            self._head = self._peeked[count - 1]
            del self._peeked[:count]
            self._reclaim()

    def _reclaim(self) -> None:
        """Write down how far it was delivered, and delete what was delivered whole."""
        done = [s for s in self._segments if (s.number, s.end) <= self._head]
        if len(done) < len(self._segments):
            self._save_place()
        else:
            self._close_out()
            self._dirty = False
        for segment in done:
            if segment.number == self._in_number:
                self._close_in()
            try:
                os.unlink(segment.path)
            except OSError:
                self._counts.errors += 1  # delivered again after a restart
            self._segments.remove(segment)

    def _save_place(self) -> None:
        segment = next((s for s in self._segments if s.number == self._head[0]), None)
        if segment is None:
            return  # the head is at the start of what is left
        name, offset = segment.name.encode(), self._head[1]
        data = _PLACE.pack(offset, crc32(name, offset & 0xFFFFFFFF)) + name
        try:
            fd = os.open(f"{self._folder}/place.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            try:
                written = os.pwrite(fd, data, 0)
            finally:
                close(fd)
            if written == len(data):
                os.replace(f"{self._folder}/place.new", f"{self._folder}/place")
        except OSError:
            self._counts.errors += 1  # at worst some records are delivered twice

    def _restore_place(self) -> None:
        try:
            fd = os.open(f"{self._folder}/place", os.O_RDONLY)
        except FileNotFoundError:
            return
        try:
            data = os.pread(fd, 256, 0)
        finally:
            close(fd)
        if len(data) <= _PLACE.size:
            return  # torn: start at the oldest segment, which repeats at most that segment
        offset, check = _PLACE.unpack_from(data)
        name = data[_PLACE.size :]
        for segment in self._segments:
            if segment.name.encode() == name and crc32(name, offset & 0xFFFFFFFF) == check:
                self._head = (segment.number, offset)

    def _cut_tail(self) -> None:
        """Cut what a crash left unfinished at the end of the newest segment."""
        if not self._segments:
            return
        segment = self._segments[-1]
        try:
            fd = os.open(segment.path, os.O_RDWR)
            try:
                end = segment.sound_end(fd)
                if end < segment.end:
                    os.ftruncate(fd, end)
                    segment.end = end
                    self._counts.torn += 1
            finally:
                close(fd)
        except OSError:
            self._counts.errors += 1  # the reader will skip the same bytes

    def _open_in(self, segment: Segment) -> None:
        if self._in_number != segment.number:
            self._close_in()
            self._in = os.open(segment.path, os.O_RDONLY)
            self._in_number = segment.number

    def _close_in(self) -> None:
        if self._in >= 0:
            close(self._in)
        self._in = self._in_number = -1

    def _close_out(self) -> None:
        if self._out >= 0:
            close(self._out)
        self._out = -1

    def close(self) -> None:
        """Unlock the folder; remove it when nothing waits in it."""
        self._close_in()
        self._close_out()
        if not self.pending:
            try:
                for name in os.listdir(self._folder):
                    os.unlink(f"{self._folder}/{name}")  # still locked
                os.rmdir(self._folder)
            except OSError:
                self._counts.errors += 1
        close(self._lock)
