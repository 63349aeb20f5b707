"""What the queue, the packing and the delivery promise while nothing, or everything, goes wrong."""

import asyncio
import os
import statistics
import threading
import time
from collections.abc import Callable
from math import inf
from pathlib import Path

import pytest

from tests.sdk import CREDENTIAL, Sent, sdk
from tracefuse import rhythm, wire
from tracefuse.background import Background
from tracefuse.backlog import MemoryBacklog
from tracefuse.canonical import canonical, keyed_hash
from tracefuse.delivery import OUTAGE_SECONDS, STALL_SECONDS, Delivery
from tracefuse.drafts import INLINE_MAX, Draft, Run, estimate, snapshot
from tracefuse.emitter import Emitter
from tracefuse.envelopes import BYTES_MAX, Envelope, Packer, Seal
from tracefuse.rhythm import Haste, Heart
from tracefuse.signing import envelope_mac
from tracefuse.spool import Spool
from tracefuse.transports import Lost, MemoryTransport, Unsendable

RUN = Run("a" * 32, "b" * 16)
SEAL = Seal(CREDENTIAL.kid, CREDENTIAL.envelope_key)


def draft(name: str = "thought", body: object = None, urgent: bool = False) -> Draft:
    return Draft(name, RUN, RUN.root, 0, body=body, urgent=urgent)


# -- the queue ---------------------------------------------------------------------------------------


def test_a_full_queue_drops_and_counts() -> None:
    """What finds no room is counted by reason; what is in stays, in order."""
    emitter = Emitter(count_max=2)
    for name in ("a", "b", "c", "d"):
        emitter.emit(draft(name))

    assert [taken.name for taken in emitter.take()] == ["a", "b"]
    assert (emitter.dropped, emitter.missed) == ({"queue_full": 2}, 2)


def test_large_values_have_a_bound_of_their_own() -> None:
    """A few large values must not fill the memory that many small ones may have."""
    emitter = Emitter(weight_max=10_000)
    for _ in range(3):
        emitter.emit(draft(body="x" * 8000))

    assert emitter.dropped == {"queue_full": 1}
    assert len(list(emitter.take())) == 2
    emitter.emit(draft(body="x" * 8000))
    assert len(emitter) == 1


def test_the_thread_is_woken_once_for_many_urgent_events() -> None:
    """The first urgent event wakes, the next ones wait for the turn it caused; others never wake."""
    woken: list[int] = []
    emitter = Emitter()
    emitter.attach(lambda: woken.append(1))
    emitter.idle = False
    for urgent in (False, True, True):
        emitter.emit(draft(urgent=urgent))

    assert woken == [1]
    list(emitter.take())
    emitter.emit(draft(urgent=True))
    assert woken == [1, 1]


def test_the_first_event_after_a_pause_wakes() -> None:
    """Nothing waits for company when there is none."""
    woken: list[int] = []
    emitter = Emitter()
    emitter.attach(lambda: woken.append(1))
    emitter.emit(draft())

    assert woken == [1]


def test_nobody_is_woken_in_vain() -> None:
    """Without haste an urgent event wakes nobody, until some of it is there again; a held call does."""
    woken: list[int] = []
    emitter = Emitter()
    emitter.attach(lambda: woken.append(1))
    emitter.idle = False
    emitter.hasty_at = inf
    emitter.emit(draft(urgent=True))
    assert woken == []

    emitter.emit(Draft("tool.request", RUN, RUN.root, 0, urgent=True, held=True))
    assert woken == [1]
    list(emitter.take())
    emitter.hasty_at = 0.0
    emitter.emit(draft(urgent=True))
    assert woken == [1, 1]


def test_a_busy_agent_wakes_its_thread_only_for_what_may_leave(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of hundreds of urgent events few find haste left; the others cost the thread no turn."""
    monkeypatch.setattr(rhythm, "URGENT_BURST", 1.0)
    sent_by: list[int] = []
    wake = Background._wake

    with sdk() as sent:

        def counted(background: Background) -> None:
            before = len(sent.transport.sent)
            wake(background)
            sent_by.append(len(sent.transport.sent) - before)

        monkeypatch.setattr(Background, "_wake", counted)
        for _ in range(600):
            sent.fuse.emitter.emit(draft(urgent=True))
            time.sleep(0.001)
    assert len(sent_by) >= 5
    assert sent_by.count(0) <= len(sent_by) // 5  # a turn of 50 ms may take it a moment before


def test_emitting_never_raises() -> None:
    """Not even when the background thread is gone, or the waking fails."""

    def gone() -> None:
        raise RuntimeError("the loop is closed")

    emitter = Emitter()
    emitter.attach(gone)
    emitter.emit(draft())
    emitter.emit(None)  # type: ignore[arg-type]
    emitter.closed = True
    emitter.emit(draft())

    assert len(emitter) == 1
    assert emitter.dropped == {"internal": 1, "closed": 1}


def test_heartbeats_follow_the_runs() -> None:
    """Each open run beats once a second; outside of any the process beats every 10 s."""
    boot, one, two = Run("0" * 32), Run("1" * 32), Run("2" * 32)
    heart = Heart(boot, now=0.0)

    assert heart.due([one, two], 0.9) == []
    assert heart.due([one, two], 1.0) == [one, two]
    assert heart.due([one], 1.9) == []
    assert heart.due([one], 10.0) == [one]  # the run speaks for the process
    assert heart.due([], 19.0) == []
    assert heart.due([], 20.0) == [boot]


def test_haste_is_bounded() -> None:
    """Twenty may leave at once, and 25 a second; a pause gives at most the twenty back."""
    haste = Haste(now=0.0)

    assert [haste.allows(0.0) for _ in range(21)] == [True] * 20 + [False]
    assert sum(haste.allows(step / 1000) for step in range(1000)) == pytest.approx(25, abs=1)
    assert sum(haste.allows(1000.0) for _ in range(100)) == 20


def test_haste_says_when_it_is_back() -> None:
    """Something may leave at the moment that it names, and not before."""
    haste = Haste(now=5.0)
    assert haste.next_at == 5.0
    for _ in range(21):
        haste.allows(5.0)

    assert 5.0 < haste.next_at == pytest.approx(5.04)
    assert not haste.allows(haste.next_at - 0.001)
    assert haste.allows(haste.next_at + 1e-9)


# -- values ------------------------------------------------------------------------------------------


def median_wait(sent: Sent, held: bool) -> float:
    """Seconds from an event of a busy process to the transport: of 21 events, each alone."""
    waits = []
    for _ in range(21):
        while sent.fuse.stats()["queued"]:
            time.sleep(0.001)
        before, began = len(sent.transport.sent), time.monotonic()
        sent.fuse.emitter.emit(
            Draft("tool.request", RUN, RUN.root, 0, tool="crm.pay", urgent=True, held=held)
        )
        while len(sent.transport.sent) == before:
            time.sleep(0.0005)
        waits.append(time.monotonic() - began)
    return statistics.median(waits)


def test_a_held_call_leaves_at_once_however_much_haste_there_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Somebody waits for it: the budget of haste, which other urgent events have used up, binds it not."""
    monkeypatch.setattr(Haste, "allows", lambda haste, now: False)
    with sdk() as sent:
        urgent, held = median_wait(sent, held=False), median_wait(sent, held=True)

    assert held < urgent / 2


def test_sizes_are_estimated_without_writing() -> None:
    """Small values within a third, large ones at least as large as the cap, foreign ones unknown."""
    small = {"a": "x" * 100, "b": [1.5, 2, None, True], "c": {"d": "y" * 50}}

    assert len(canonical(small)) <= estimate(small) <= 1.5 * len(canonical(small))
    assert estimate(["x" * 1000] * 100_000) > 10 * INLINE_MAX
    assert estimate({str(n): n for n in range(200_000)}) > INLINE_MAX
    assert estimate(object()) == estimate([float("nan")]) == -1


def test_a_snapshot_hashes_like_the_value() -> None:
    """Whichever way a value is written down, its hash is that of its canonical text."""
    values: list[object] = [
        "text", 25.0, None, {"b": 1, "a": 2.0}, {"a": {"b": [1.0, "x"]}}, (1, 2), {"x": b"\xff"},
    ]  # fmt: skip
    with sdk() as sent, sent.fuse.trace() as trace:
        for value in values:
            trace.memory_write("k", value)

    hashes = [event.result_hash for event in sent.events("memory.write")]
    wanted = [keyed_hash(CREDENTIAL.hash_key, canonical(value)) for value in values]
    wanted[values.index(None)] = ""  # no value, no hash
    assert hashes == wanted


def test_a_snapshot_of_a_changing_value_is_still_one() -> None:
    """A dictionary that another thread fills meanwhile is written down one way or another."""
    growing: dict[str, object] = {"0": [0]}
    stop = threading.Event()

    def grow() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            growing[str(number % 5000)] = [number]

    thread = threading.Thread(target=grow)
    thread.start()
    try:
        taken = [snapshot(growing) for _ in range(50)]
    finally:
        stop.set()
        thread.join()

    assert all(value is not None for value in taken)


# -- envelopes ---------------------------------------------------------------------------------------


def test_envelopes_hold_fifty_lines_of_one_partition() -> None:
    """51 lines of one partition and one of another make three envelopes, by their first lines."""
    packer = Packer("boot")
    for seq in range(51):
        packer.add(5, b"line", seq, now=0.0)
    packer.add(2, b"other", 51, now=0.0)
    found = packer.flush()

    assert [(e.partition, e.lines, e.first_seq) for e in found] == [
        (5, 50, 0),
        (5, 1, 50),
        (2, 1, 51),
    ]
    assert found[0].value.split(b"\n") == [b"line"] * 50
    assert packer.flush() == []


def test_envelopes_stay_below_the_limit_of_a_record() -> None:
    """Large lines are spread over envelopes, none above 900 kB."""
    packer = Packer("boot")
    for seq in range(10):
        packer.add(0, b"x" * 300_000, seq, now=0.0)
    found = packer.flush()

    assert all(len(e.value) <= BYTES_MAX for e in found)
    assert sum(e.lines for e in found) == 10


def test_the_proof_covers_whether_it_was_spooled() -> None:
    """Kind, version, key id and MAC are headers; `spooled` only where it applies."""
    plain, late = (Envelope(0, b"{}", 1, "b", 1, spooled=late) for late in (False, True))
    for envelope in (plain, late):
        SEAL.close(envelope)

    key, kid = CREDENTIAL.envelope_key, CREDENTIAL.kid
    assert dict(plain.headers()) == {
        "kind": b"events", "v": b"1.0", "kid": kid.encode(),
        "mac": envelope_mac(key, kid, False, b"{}"),
    }  # fmt: skip
    assert wire.header(late.headers(), wire.SPOOLED) == b"1"
    assert wire.header(late.headers(), wire.MAC) == envelope_mac(key, kid, True, b"{}")


# -- delivery ----------------------------------------------------------------------------------------


class Scene:
    """A delivery over a transport in memory; time is given by hand."""

    def __init__(self, backlog: MemoryBacklog | Spool, boot: str = "boot") -> None:
        self.transport = MemoryTransport()
        self.dropped: dict[str, int] = {}
        self.backlog = backlog
        self.boot = boot
        self.seq = 0
        self.delivery = Delivery(self.transport, backlog, SEAL, boot, self._drop)

    def _drop(self, reason: str, count: int = 1) -> None:
        self.dropped[reason] = self.dropped.get(reason, 0) + count

    def offer(self, now: float, count: int = 1) -> None:
        for _ in range(count):
            self.seq += 1
            envelope = Envelope(0, b"%d" % self.seq, 1, self.boot, self.seq, queued_at=now)
            self.delivery.offer([envelope])

    async def turn(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)

    @property
    def arrived(self) -> list[tuple[int, bool]]:
        return [(int(e.value), e.spooled) for e in self.transport.sent]


def play(script: Callable[[Scene], object], backlog: MemoryBacklog | Spool | None = None) -> Scene:
    """Run an async script on a scene."""

    async def go() -> Scene:
        scene = Scene(backlog if backlog is not None else MemoryBacklog(10_000))
        await script(scene)  # type: ignore[misc]
        return scene

    return asyncio.run(go())


def test_a_silent_broker_is_noticed_and_what_is_in_flight_is_on_disk() -> None:
    """After 300 ms without an answer each envelope is also in the backlog; none is sent twice."""

    async def script(scene: Scene) -> None:
        scene.transport.down = True
        scene.offer(0.0, 2)
        scene.delivery.check(STALL_SECONDS)
        assert scene.backlog.empty
        scene.delivery.check(STALL_SECONDS + 0.01)
        scene.offer(0.4)
        assert len(scene.backlog.peek(9)) == 3
        scene.transport.heal()
        await scene.turn()

    scene = play(script)
    assert scene.arrived == [(1, False), (2, False), (3, False)]
    assert scene.backlog.empty
    assert (scene.delivery.delivered, scene.delivery.in_flight) == (3, 0)


def test_an_outage_sends_newer_events_to_the_backlog_and_back_in_order() -> None:
    """After 1.5 s they wait there alone, are marked as spooled, and none overtakes another."""

    async def script(scene: Scene) -> None:
        scene.transport.down = True
        scene.offer(0.0)
        scene.delivery.check(OUTAGE_SECONDS + 0.1)
        scene.offer(2.0, 200)
        scene.transport.heal()
        scene.offer(2.1, 3)
        await scene.turn()
        scene.offer(2.2)

    scene = play(script)
    assert [number for number, _ in scene.arrived] == list(range(1, 206))
    assert [late for _, late in scene.arrived] == [False] + [True] * 203 + [False]
    assert scene.dropped == {}


def test_a_refused_envelope_goes_again_before_newer_ones() -> None:
    """A producer that fails hands back what it had; it goes to the backlog, and then first."""

    async def script(scene: Scene) -> None:
        scene.transport.down = True
        scene.offer(0.0, 2)
        await scene.transport.stop()  # both end with `Lost`
        await scene.turn()
        scene.offer(0.1)
        scene.transport.heal()
        await scene.turn()

    scene = play(script)
    assert scene.arrived == [(1, True), (2, True), (3, True)]


def test_what_no_broker_takes_is_dropped_and_counted() -> None:
    """An unsendable envelope must not stop the ones behind it."""

    class Refusing(MemoryTransport):
        def send(self, envelope: Envelope) -> "asyncio.Future[None]":
            if envelope.value == b"2":
                future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                future.set_exception(Unsendable("too_large"))
                return future
            return super().send(envelope)

    async def script(scene: Scene) -> None:
        scene.transport = scene.delivery._transport = Refusing()
        scene.offer(0.0, 3)
        await scene.turn()

    scene = play(script)
    assert [number for number, _ in scene.arrived] == [1, 3]
    assert scene.dropped == {"too_large": 1}


def test_a_full_backlog_drops_and_counts() -> None:
    """No room left: newer events go, counted; what was kept arrives."""

    async def script(scene: Scene) -> None:
        scene.transport.down = True
        scene.offer(0.0)
        scene.delivery.check(OUTAGE_SECONDS + 0.1)
        scene.offer(2.0, 9)
        scene.transport.heal()
        await scene.turn()

    scene = play(script, MemoryBacklog(max_bytes=5))
    assert [number for number, _ in scene.arrived] == [1, 2, 3, 4, 5]
    assert scene.dropped == {"spool_full": 5}


def test_a_dead_process_is_adopted_beside_new_events(tmp_path: Path) -> None:
    """What it left is delivered with its own boot id; new events do not wait for it."""
    left = Spool(tmp_path, 1_000_000)

    async def die(scene: Scene) -> None:
        scene.transport.down = True
        scene.offer(0.0)
        scene.delivery.check(OUTAGE_SECONDS + 0.1)
        scene.offer(2.0, 2)
        await scene.turn()

    play(die, left)
    left.close()

    async def live(scene: Scene) -> None:
        scene.delivery.start()
        scene.offer(0.0)
        await scene.turn()

    async def go() -> Scene:
        scene = Scene(Spool(tmp_path, 1_000_000), boot="next")
        await live(scene)
        return scene

    scene = asyncio.run(go())
    assert [(e.boot_id, e.value, e.spooled) for e in scene.transport.sent] == [
        ("next", b"1", False), ("boot", b"1", True), ("boot", b"2", True), ("boot", b"3", True),
    ]  # fmt: skip
    assert (scene.delivery.delivered, scene.delivery.adopted) == (1, 3)
    assert scene.backlog.empty


def test_the_end_is_bounded_and_keeps_the_rest(tmp_path: Path) -> None:
    """`finish` gives up in time; what did not arrive is in the spool, or counted without one."""

    async def script(scene: Scene) -> None:
        scene.transport.down = True
        scene.offer(0.0, 3)
        await scene.delivery.finish(timeout=0.0)

    spooled = play(script, Spool(tmp_path, 1_000_000))
    forgotten = play(script)

    assert spooled.dropped == {}
    assert [record.payload for record in Spool(tmp_path, 1_000_000).peek(9)] == [b"1", b"2", b"3"]
    assert forgotten.dropped == {"closed": 3}


# -- the whole thread --------------------------------------------------------------------------------


def test_dropped_events_leave_a_gap_in_the_sequence(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of an event that found no room is left out, so that its loss can be seen."""
    monkeypatch.setattr("tracefuse.background.Background.start", lambda self: None)
    with sdk() as sent:
        sent.fuse.emitter.count_max = 2
        for _ in range(4):
            sent.fuse.emitter.emit(draft())
        sent.fuse.emitter.count_max = 10
        monkeypatch.undo()
        sent.fuse._background.start()
        sent.fuse.emitter.emit(draft())

    assert len(sent.events()) == 3
    assert max(event.seq for event in sent.events()) == 5
    assert sent.fuse.stats()["dropped"] == {"queue_full": 2}


def test_many_threads_emit_without_a_loss() -> None:
    """Numbers are given once each, and each thread's events keep their order."""
    with sdk() as sent, sent.fuse.trace() as trace:

        def work(number: int) -> None:
            for step in range(200):
                trace.context("retrieval", documents=[{"id": f"{number}", "version": f"{step}"}])

        threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    found = sent.events()
    steps: dict[str, list[int]] = {}
    for event in sent.events("retrieval"):
        (document,) = event.attrs["documents"]
        steps.setdefault(document["id"], []).append(int(document["version"]))
    assert [event.seq for event in found] == list(range(1, 1603))
    assert all(own == list(range(200)) for own in steps.values())


def test_a_forked_child_has_a_life_of_its_own(tmp_path: Path) -> None:
    """After a fork the child gets a new boot id, thread and queue; the parent goes on."""
    with sdk() as sent, sent.fuse.trace() as trace:
        before = sent.fuse.boot_id
        child = os.fork()
        if child == 0:
            status = 1
            try:
                assert threading.active_count() == 1  # nothing runs before it is needed
                sent.transport.sent.clear()  # what the parent had sent
                trace.thought("in the child")
                sent.fuse.close()
                names = [event.name for event in sent.events()]
                fresh = sent.fuse.boot_id != before
                status = 0 if fresh and names == ["thought"] else 2
            finally:
                os._exit(status)
        _, status = os.waitpid(child, 0)
        trace.thought("in the parent")

    assert os.waitstatus_to_exitcode(status) == 0
    assert [e.name for e in sent.events()] == ["run.start", "thought", "run.end"]
    assert {e.boot_id for e in sent.events()} == {before}


def test_lost_is_not_unsendable() -> None:
    """The two ways to fail are apart: one is tried again, the other never."""

    assert not issubclass(Lost, Unsendable)
    assert not issubclass(Unsendable, Lost)
