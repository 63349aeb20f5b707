"""What the disk spool promises: order, no loss, no broken record, and no exception."""

import contextlib
import errno
import os
import shutil
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tracefuse import segment, spool, wal
from tracefuse.segment import HEADER, RECORD_MAX
from tracefuse.spool import Spool

LARGE = 10_000_000


class Killed(BaseException):
    """The process ends here."""


class Disk:
    """Stands for `os` in the spool: counts calls, fails one, and closes all when the process dies.

    `fault` is called with the name of the call and its arguments when call number `at` has come;
    a call named `stuck` fails each time.
    """

    WRITING = frozenset({"open", "close", "pwritev", "pwrite", "fsync", "ftruncate", "replace"})
    NAMING = frozenset({"unlink", "rmdir", "mkdir", "makedirs"})
    READING = frozenset({"pread", "listdir", "stat", "fstat"})

    def __init__(
        self, at: int = -1, fault: Callable[..., Any] | None = None, stuck: str = ""
    ) -> None:
        self.at, self.fault, self.stuck = at, fault, stuck
        self.log: list[str] = []
        self.fds: set[int] = set()

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        counted = name in self.WRITING | self.NAMING | self.READING
        return self._counting(name, real) if counted else real

    def _counting(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **named: Any) -> Any:
            self.log.append(name)
            if name == self.stuck:
                raise OSError(errno.EIO, "stuck")
            if self.fault is not None and len(self.log) - 1 == self.at:
                self.fault(name, real, args)
            result = real(*args, **named)
            if name == "open":
                self.fds.add(result)
            elif name == "close":
                self.fds.discard(args[0])
            return result

        return call

    def die(self) -> None:
        """What the kernel does with a dead process: its descriptors and locks are gone."""
        for fd in self.fds:
            os.close(fd)
        self.fds.clear()


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return install(Disk(), monkeypatch.setattr)


def install(new: Disk, patch: Callable[[Any, str, Any], None] = setattr) -> Disk:
    for module in (segment, wal, spool):
        patch(module, "os", new)
    return new


def drain(box: Spool, step: int = 7) -> list[bytes]:
    out: list[bytes] = []
    for _ in range(10_000):
        records = box.peek(step)
        if not records and box.empty:
            return out
        out += [record.payload for record in records]
        box.ack(len(records))
    raise AssertionError("the spool never became empty")


def segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/*.seg"))


def fill(box: Spool, count: int, size: int = 100) -> list[bytes]:
    payloads = [f"{i:06d}".encode().ljust(size, b".") for i in range(count)]
    assert all(box.append(payload, meta=payload[:6]) for payload in payloads)
    return payloads


def test_records_come_back_in_order_with_their_meta(tmp_path: Path) -> None:
    """What was appended is peeked in order, again and again until it is acknowledged."""
    box = Spool(tmp_path, LARGE)
    payloads = fill(box, 20)
    first, again = box.peek(5), box.peek(5)
    box.ack(2)
    third = box.peek(1)[0]

    assert [record.payload for record in first] == payloads[:5] == [r.payload for r in again]
    assert (third.payload, third.meta) == (payloads[2], b"000002")
    assert drain(box) == payloads[2:]
    assert box.empty
    assert box.size == 0
    box.close()


def test_a_start_goes_on_where_the_last_process_stopped(tmp_path: Path, disk: Disk) -> None:
    """After a kill without close the rest comes, none of what was acknowledged, none lost."""
    box = Spool(tmp_path, LARGE)
    payloads = fill(box, 20)
    box.peek(8)
    box.ack(8)
    disk.die()
    box = Spool(tmp_path, LARGE)
    more = b"later"
    box.append(more)

    assert drain(box) == [*payloads[8:], more]
    assert box.counts.torn == box.counts.corrupt == box.counts.errors == 0
    box.close()


def test_the_bound_refuses_and_delivery_frees_it(tmp_path: Path) -> None:
    """`append` answers False at `max_bytes`; what was accepted stays; room comes back."""
    box = Spool(tmp_path, 40_000)
    accepted = 0
    while box.append(b"x" * 1000):
        accepted += 1
    used = sum(path.stat().st_size for path in segments(tmp_path))
    refused_at = box.size
    box.peek(10)
    box.ack(10)

    assert 35 <= accepted <= 40
    assert refused_at == used <= 40_000
    assert box.append(b"y" * 1000)
    assert len(drain(box)) == accepted - 10 + 1
    box.close()


def test_a_record_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    """A record over 2 MiB never enters, and neither does an endless meta."""
    box = Spool(tmp_path, LARGE)

    assert not box.append(b"x" * RECORD_MAX)
    assert not box.append(b"x", meta=b"m" * 70_000)
    assert box.append(b"x" * (RECORD_MAX - HEADER.size))
    assert len(box.peek(5)[0].payload) == RECORD_MAX - HEADER.size
    box.close()


def test_mistakes_of_the_developer_are_told() -> None:
    """Only misuse raises: a bound of nothing, an ack of what was never peeked."""
    folder = tempfile.mkdtemp()
    with pytest.raises(ValueError, match="max_bytes"):
        Spool(folder, 0)
    box = Spool(folder, LARGE)
    with pytest.raises(ValueError, match="peeked"):
        box.ack(1)
    box.append(b"x")
    box.peek(1)
    with pytest.raises(ValueError, match="1 records"):
        box.ack(2)

    assert box.peek(1)[0].payload == b"x"
    box.close()
    shutil.rmtree(folder)


@pytest.mark.parametrize("cut", [1, HEADER.size, 50, 114])
def test_a_torn_tail_is_cut(tmp_path: Path, disk: Disk, cut: int) -> None:
    """A record that a crash left unfinished is cut off, counted, and never returned."""
    box = Spool(tmp_path, LARGE)
    payloads = fill(box, 5)
    disk.die()
    with segments(tmp_path)[-1].open("r+b") as file:
        file.truncate(5 * 120 - cut)
    box = Spool(tmp_path, LARGE)

    assert segments(tmp_path)[-1].stat().st_size == 4 * 120
    assert box.counts.torn == 1
    assert drain(box) == payloads[:4]
    box.close()


@pytest.mark.parametrize("where", [0, 5, 9, 12, 14, 60, 119])
def test_a_flipped_byte_is_caught(tmp_path: Path, disk: Disk, where: int) -> None:
    """One flipped byte, in marker, length, checksum, meta or payload, costs that record alone."""
    box = Spool(tmp_path, LARGE)
    payloads = fill(box, 5)
    disk.die()
    flip(segments(tmp_path)[0], 2 * 120 + where)
    box = Spool(tmp_path, LARGE)
    box.peek(5)

    assert drain(box) == payloads[:2] + payloads[3:]
    assert box.counts.corrupt == 1
    box.close()


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 0x10
    path.write_bytes(data)


def test_without_the_checksum_the_flipped_byte_would_come_back(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Control: with the check off, a record that nobody wrote is returned."""
    monkeypatch.setattr(segment, "checksum", lambda *_: 0)
    box = Spool(tmp_path, LARGE)
    payloads = fill(box, 5)
    disk.die()
    flip(segments(tmp_path)[0], 2 * 120 + 60)
    box = Spool(tmp_path, LARGE)
    found = drain(box)

    assert len(found) == 5
    assert found[2] != payloads[2]
    box.close()


def test_a_log_of_nothing_but_broken_records_becomes_empty(tmp_path: Path) -> None:
    """Broken records at the end, seen by the process that wrote them, do not hold up the queue."""
    box = Spool(tmp_path, LARGE)
    fill(box, 3)
    for record in range(3):
        flip(segments(tmp_path)[0], record * 120 + 70)
    nothing = box.peek(5)

    assert nothing == []
    assert box.empty
    assert box.counts.corrupt == 3
    assert segments(tmp_path) == []
    box.close()


def test_neighbours_that_broke_are_counted_each(tmp_path: Path, disk: Disk) -> None:
    """Two broken records in a row count as two, and a second look does not count them again."""
    box = Spool(tmp_path, LARGE)
    payloads = fill(box, 6)
    disk.die()
    for record in (2, 3):
        flip(segments(tmp_path)[0], record * 120 + 70)
    box = Spool(tmp_path, LARGE)
    for _ in range(3):
        box.peek(6)

    assert drain(box) == payloads[:2] + payloads[4:]
    assert box.counts.corrupt == 2
    box.close()


@pytest.mark.parametrize("shift", range(-4, 2))
def test_the_search_sees_a_record_across_its_chunks(tmp_path: Path, shift: int) -> None:
    """After a large broken record the next one is found wherever the search cuts its chunks."""
    box = Spool(tmp_path, LARGE)
    box.append(b"x" * (64 * 1024 + 1 - HEADER.size + shift))
    box.append(b"next")
    flip(segments(tmp_path)[0], 5)

    assert [record.payload for record in box.peek(5)] == [b"next"]
    box.ack(1)
    box.close()


def test_a_payload_cannot_pass_for_a_record(tmp_path: Path, disk: Disk) -> None:
    """Bytes of one log inside a payload of another are not returned when that payload breaks."""
    box = Spool(tmp_path / "a", LARGE)
    box.append(b"forged")
    inner = segments(tmp_path / "a")[0].read_bytes()
    box.close()
    box = Spool(tmp_path / "b", LARGE)
    box.append(b"head" + inner)
    box.append(b"next")
    disk.die()
    flip(segments(tmp_path / "b")[0], 5)
    box = Spool(tmp_path / "b", LARGE)

    assert drain(box) == [b"next"]
    box.close()


def test_processes_do_not_share_a_folder(tmp_path: Path, disk: Disk) -> None:
    """Two living spools keep apart; the one that comes after a death takes over what was left."""
    second_disk = Disk()
    one = Spool(tmp_path, LARGE)
    install(second_disk)
    two = Spool(tmp_path, LARGE)
    one.append(b"of one")
    two.append(b"of two")
    folders = len(list(tmp_path.iterdir()))
    install(disk)
    before = [r.payload for r in one.peek(9)], [r.payload for r in two.peek(9)]
    second_disk.die()
    three = Spool(tmp_path, LARGE)
    three.append(b"of three")
    adopted = drain(three)
    three.close()

    assert folders == 2
    assert before == ([b"of one"], [b"of two"])
    assert adopted == [b"of two", b"of three"]
    assert drain(one) == [b"of one"]
    one.close()
    assert list(tmp_path.iterdir()) == []


def test_several_orphans_are_drained_and_removed(tmp_path: Path) -> None:
    """All folders of dead processes are taken over, each in its order, and vanish when empty."""
    disks = [install(Disk()) for _ in range(3)]
    for name, each in zip("abc", disks, strict=True):
        install(each)
        box = Spool(tmp_path, LARGE)
        for i in range(3):
            box.append(f"{name}{i}".encode())
    for each in disks:
        each.die()
    install(os)  # type: ignore[arg-type]
    box = Spool(tmp_path, LARGE)
    box.append(b"new")

    assert drain(box) == [b"a0", b"a1", b"a2", b"b0", b"b1", b"b2", b"c0", b"c1", b"c2", b"new"]
    assert len(list(tmp_path.iterdir())) == 1
    box.close()
    assert list(tmp_path.iterdir()) == []


def test_a_large_backlog_is_read_in_bounded_memory(tmp_path: Path) -> None:
    """20 MB on disk are taken over and delivered within 10 MB of memory."""
    box = Spool(tmp_path, 64_000_000)
    for i in range(320):
        box.append(i.to_bytes(4, "big") + b"x" * 65_000)
    box.close()
    tracemalloc.start()
    box = Spool(tmp_path, 64_000_000)
    numbers = []
    while records := box.peek(1000):
        numbers += [int.from_bytes(record.payload[:4], "big") for record in records]
        box.ack(len(records))
        del records
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert numbers == list(range(320))
    assert peak < 10_000_000
    box.close()


def test_an_unusable_folder_only_refuses(tmp_path: Path) -> None:
    """Where no folder can be made, everything answers and nothing raises."""
    (tmp_path / "file").write_text("not a folder")
    box = Spool(tmp_path / "file", LARGE)

    assert not box.usable
    assert (box.append(b"x"), box.sync(), box.peek(1), box.empty) == (False, False, [], True)
    box.close()


def test_foreign_files_are_left_out(tmp_path: Path) -> None:
    """Odd names and a broken place file do not disturb: at worst a segment comes again."""
    box = Spool(tmp_path, LARGE)
    payloads = fill(box, 5)
    box.peek(2)
    box.ack(2)
    box.close()
    folder = segments(tmp_path)[0].parent
    (folder / "x-y.seg").write_bytes(b"?")
    (tmp_path / "notes").write_bytes(b"?")
    (folder / "place").write_bytes((folder / "place").read_bytes()[:-1] + b"?")
    box = Spool(tmp_path, LARGE)

    assert drain(box) == payloads
    box.close()


def fail(number: int) -> Callable[..., Any]:
    def fault(name: str, real: Callable[..., Any], args: tuple[Any, ...]) -> None:
        raise OSError(number, os.strerror(number))

    return fault


def kill(name: str, real: Callable[..., Any], args: tuple[Any, ...]) -> None:
    raise Killed


def kill_after(name: str, real: Callable[..., Any], args: tuple[Any, ...]) -> None:
    if name == "pwritev":
        real(args[0], [b"".join(args[1])[:60]], args[2])
    elif name != "close":
        result = real(*args)
        if name == "open":
            os.close(result)
    raise Killed


FAULTS = {
    "eio": fail(errno.EIO),
    "enospc": fail(errno.ENOSPC),
    "kill": kill,
    "kill-after": kill_after,
}


class Story:
    """The same life of a spool each time: what it accepted, refused and delivered."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.accepted: list[bytes] = []
        self.refused: list[bytes] = []
        self.acked: list[bytes] = []
        self.in_flight = b""

    def run(self, name: str = "a") -> None:
        for life in range(2):
            box = Spool(self.folder, 40_000)
            for i in range(10):
                self.append(box, f"{name}{life}-{i:02d}".encode().ljust(900, b"."))
                if i % 5 == 4:
                    box.sync()
            for count in (2, 4):
                payloads = [record.payload for record in box.peek(count)]
                self.acked += payloads  # from here on it may or may not come again
                box.ack(len(payloads))
            box.close()

    def append(self, box: Spool, payload: bytes) -> None:
        self.in_flight = payload
        (self.accepted if box.append(payload) else self.refused).append(payload)
        self.in_flight = b""


@pytest.mark.parametrize("name", FAULTS)
def test_no_fault_at_any_system_call_loses_or_breaks_a_record(name: str, tmp_path: Path) -> None:
    """EIO, ENOSPC or a kill at each call in turn: what was accepted and not acked comes back.

    Whole, in order, none twice in one delivery, none that was refused, and nothing raises.
    """
    calls = install(Disk())
    Story(tmp_path / "clean").run()
    calls.die()
    for at in range(len(calls.log)):
        story, broken = Story(tmp_path / f"{at}"), install(Disk(at, FAULTS[name]))
        with contextlib.suppress(Killed):
            story.run()
        broken.die()
        install(os)  # type: ignore[arg-type]
        box = Spool(story.folder, 40_000)
        found = drain(box)
        box.close()
        shutil.rmtree(story.folder)
        where = f"{name} at call {at}, {broken.log[at]}"
        owed = set(story.accepted) - set(story.acked)

        assert owed <= set(found), where
        assert set(found) <= {*story.accepted, story.in_flight}, where
        assert found == sorted(set(found)), where
    assert len(calls.log) > 100


@pytest.mark.parametrize("call", ["pwritev", "fsync", "open", "replace", "unlink", "ftruncate"])
def test_a_disk_that_stays_broken_only_refuses(call: str, tmp_path: Path) -> None:
    """A call that fails for ever makes answers False, not exceptions; afterwards all is sound."""
    story = Story(tmp_path)
    story.run()
    stuck = install(Disk(stuck=call))
    story.run("b")
    stuck.die()
    install(os)  # type: ignore[arg-type]
    box = Spool(tmp_path, 40_000)
    found = drain(box)
    box.close()

    assert set(story.accepted) - set(story.acked) <= set(found)
    assert set(found) <= set(story.accepted)
    if call == "pwritev":
        assert len(story.refused) == 20


def test_a_place_that_cannot_be_read_is_given_up(tmp_path: Path) -> None:
    """A segment whose reads fail for ever is skipped after ten tries, so the queue goes on."""
    box = Spool(tmp_path, LARGE)
    fill(box, 3)
    install(Disk(stuck="pread"))
    tries = [box.peek(3) for _ in range(wal.READ_TRIES)]
    install(os)  # type: ignore[arg-type]
    box.append(b"new")

    assert tries == [[]] * wal.READ_TRIES
    assert box.counts.corrupt == 1
    assert drain(box) == [b"new"]
    box.close()


def test_sync_flushes_the_file_and_its_name(tmp_path: Path, disk: Disk) -> None:
    """The first sync flushes the new file and the folder that names it, the next one nothing."""
    box = Spool(tmp_path, LARGE)
    box.append(b"one")
    before = disk.log.count("fsync")
    answers = box.sync(), box.sync()
    first = disk.log.count("fsync")
    box.append(b"two")
    box.sync()

    assert answers == (True, True)
    assert (before, first, disk.log.count("fsync")) == (0, 2, 3)
    box.close()


def test_a_failed_sync_is_told_once(tmp_path: Path) -> None:
    """`sync` answers False when the disk refused, and the next segment starts clean."""
    box = Spool(tmp_path, LARGE)
    box.append(b"one")
    install(Disk(stuck="fsync"))
    refused = box.sync()
    install(os)  # type: ignore[arg-type]
    box.append(b"two")

    assert not refused
    assert box.sync()
    assert len(segments(tmp_path)) == 2
    assert drain(box) == [b"one", b"two"]
    box.close()


def test_a_sync_that_failed_between_segments_is_told_too(tmp_path: Path) -> None:
    """When the flush of a finished segment fails, the next `sync` answers False, once."""
    box = Spool(tmp_path, 40_000)
    fill(box, 5, size=1000)  # more than a segment's 5,000 bytes: the next one begins a new file
    install(Disk(stuck="fsync"))
    accepted = box.append(b"x")
    install(os)  # type: ignore[arg-type]

    assert accepted
    assert (box.sync(), box.sync()) == (False, True)
    box.close()


@pytest.fixture(autouse=True)
def _real_disk_afterwards() -> Iterator[None]:
    yield
    install(os)  # type: ignore[arg-type]


@pytest.fixture
def small_disk() -> Iterator[Path]:
    # Not below tmp_path, which another pytest may move away while it is mounted.
    folder = tempfile.mkdtemp()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        os.rmdir(folder)
        pytest.skip("mounting a tmpfs needs root")
    yield Path(folder)
    subprocess.run(["umount", folder], check=True)
    os.rmdir(folder)


def test_a_full_disk_refuses_and_stays_sound(small_disk: Path) -> None:
    """On a full file system `append` answers False; what it accepted is there after a start.

    Room made by delivery is used again.
    """
    box = Spool(small_disk, LARGE)
    tried = [i.to_bytes(2, "big") * 1000 for i in range(300)]
    accepted = [payload for payload in tried if box.append(payload)]
    errors = box.counts.errors
    box.close()
    box = Spool(small_disk, LARGE)
    back = drain(box)
    again = [payload for payload in tried[:50] if box.append(payload)]

    assert 80 < len(accepted) < 135
    assert errors == 300 - len(accepted)
    assert back == accepted
    assert drain(box) == again == tried[:50]
    box.close()


LIVING = """
import sys
from tracefuse.spool import Spool
box = Spool(sys.argv[1], 10_000_000)
print([box.append(str(i).encode()) for i in range(50)], flush=True)
sys.stdin.read()
"""


def test_what_a_killed_process_accepted_is_taken_over(tmp_path: Path) -> None:
    """SIGKILL without sync or close: the next process delivers all; while it lived, nobody did."""
    command = [sys.executable, "-c", LIVING, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        answers = child.stdout.readline()
        box = Spool(tmp_path, LARGE)
        while_it_lived = drain(box)
        box.close()
        child.kill()
        child.wait()
    box = Spool(tmp_path, LARGE)

    assert answers.count(b"True") == 50
    assert while_it_lived == []
    assert drain(box) == [str(i).encode() for i in range(50)]
    box.close()


CHILD = """
import resource, sys
from tracefuse.spool import Spool
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
box = Spool(sys.argv[1], 10_000_000)
print([box.append(str(i).encode() * 500) for i in range(12)], box.counts.errors > 0)
"""


def test_a_file_size_limit_refuses_and_stays_sound(tmp_path: Path) -> None:
    """With RLIMIT_FSIZE in a child that then dies, each record it accepted comes back."""
    command = [sys.executable, "-c", CHILD, str(tmp_path)]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    answers = out.split("]")[0].strip("[").split(", ")
    accepted = [i for i, word in enumerate(answers) if word == "True"]
    box = Spool(tmp_path, LARGE)

    assert 5 <= len(accepted) < 12
    assert "True" in out.split("]")[1]
    assert drain(box) == [str(i).encode() * 500 for i in accepted]
    box.close()


class Model(RuleBasedStateMachine):
    """A real spool against a list, over restarts, kills, torn tails and broken bytes."""

    @initialize()
    def start(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.disk = install(Disk())
        self.box = Spool(self.folder, 60_000)
        self.waiting: list[bytes] = []
        self.number = 0

    def restart(self) -> None:
        self.disk.die()
        self.disk = install(Disk())
        self.box = Spool(self.folder, 60_000)

    @rule(size=st.sampled_from([0, 1, 100, 3000]), count=st.integers(1, 8))
    def append(self, size: int, count: int) -> None:
        for _ in range(count):
            payload = f"{self.number}:".encode() + b"p" * size
            self.number += 1
            if self.box.append(payload, meta=b"m"):
                self.waiting.append(payload)
            else:
                assert self.box.size + len(payload) + 15 > 60_000

    @rule(count=st.integers(1, 12), part=st.integers(0, 12))
    def deliver(self, count: int, part: int) -> None:
        records = [record.payload for record in self.box.peek(count)]
        assert records == self.waiting[:count]
        part = min(part, len(records))
        self.box.ack(part)
        del self.waiting[:part]

    @rule()
    def sync(self) -> None:
        assert self.box.sync()

    @rule()
    def close(self) -> None:
        self.box.close()
        self.restart()

    @rule()
    def killed(self) -> None:
        self.restart()

    @rule(tail=st.binary(min_size=1, max_size=50))
    def killed_while_writing(self, tail: bytes) -> None:
        files = segments(self.folder)
        if files:
            with files[-1].open("ab") as file:
                file.write(tail)
        self.restart()
        assert self.box.counts.torn == bool(files)

    @rule(cut=st.integers(1, 5000))
    def power_lost(self, cut: int) -> None:
        """The newest file loses its end; records that it touched may go, no others."""
        files = segments(self.folder)
        size = files[-1].stat().st_size if files else 0
        cut = min(cut, size)
        if files:
            os.truncate(files[-1], size - cut)
        while cut > 0 and self.waiting:
            cut -= len(self.waiting.pop()) + 1 + HEADER.size
        self.restart()

    @invariant()
    def nothing_broke(self) -> None:
        if hasattr(self, "box"):
            assert self.box.counts.corrupt == self.box.counts.errors == 0
            assert self.box.empty == (not self.waiting)

    def teardown(self) -> None:
        if hasattr(self, "box"):
            assert drain(self.box) == self.waiting
            self.box.close()
            install(os)  # type: ignore[arg-type]
            shutil.rmtree(self.folder)


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
