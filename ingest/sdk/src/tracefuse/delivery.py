"""Fourth stage of an event: envelopes go to the broker, or wait on disk until it is back.

    packer ──► delivery ──► transport          while the broker answers
                  │  ▲
                  ▼  │ in order, before newer events
                 backlog (spool)               while it does not

Nothing older than `STALL_SECONDS` is only in memory: what the broker has not acknowledged by then is
written to the backlog as well. When it is still silent after `OUTAGE_SECONDS`, newer events go to the
backlog alone, until that is empty again. Lives on the background thread's loop.
"""

import asyncio
from collections.abc import Callable
from itertools import takewhile

import msgspec

from tracefuse.backlog import Backlog, MemoryBacklog
from tracefuse.envelopes import Envelope, Seal
from tracefuse.segment import Record
from tracefuse.transports import Lost, Transport, Unsendable

# An answer takes 1 to 5 ms; one that takes this long is an outage, or soon will be. With the write
# it keeps the promise that a killed agent loses at most its last 500 ms.
STALL_SECONDS = 0.3
# From here on record time jumps (architecture §1), and what waits is marked as spooled.
OUTAGE_SECONDS = 1.5
# Envelopes without an answer; more means that the broker is slower than the agent.
WINDOW_MAX = 256
WINDOW_BYTES = 8 * 1024 * 1024
# So many records of the backlog travel at once: one turn of the broker for them together.
DRAIN_COUNT = 64
# Between two tries of what the broker refused for now.
RETRY_SECONDS = 0.5
SYNC_SECONDS = 0.4

Name = tuple[str, int, int]  # boot id, first seq, partition: no two envelopes share it

_encode = msgspec.json.Encoder().encode
_decode_meta = msgspec.json.Decoder(tuple[int, str, str, str, int, int]).decode


class Delivery:
    """Brings envelopes to the broker in order, over outages and restarts.

    Parameters
    ----------
    transport
        Started.
    backlog
        Where envelopes wait; what it already holds is delivered first, or beside new ones where a
        former process left it.
    seal
        Proves the envelopes.
    boot_id
        Of this process.
    drop
        Told the reason and the number of events that will not arrive.
    """

    def __init__(
        self,
        transport: Transport,
        backlog: Backlog,
        seal: Seal,
        boot_id: str,
        drop: Callable[[str, int], None],
    ) -> None:
        self.delivered = self.spooled = self.adopted = 0
        self._transport, self._backlog, self._seal = transport, backlog, seal
        self._boot_id, self._drop = boot_id, drop
        self._window: dict[Name, Envelope] = {}  # without an answer, oldest first
        self._window_bytes = 0
        self._shelved: set[Name] = set()  # those in the window that are also in the backlog
        self._arrived: set[Name] = set()  # those in the backlog that need not be sent any more
        self._stalled = False  # what is sent is also written to the backlog
        self._behind = False  # new envelopes go to the backlog alone
        self._settled = asyncio.Event()
        self._synced_at = 0.0
        self._dirty = False
        self._drainer: asyncio.Task[None] | None = None
        self._closed = False

    def start(self) -> None:
        """Begin with what a former process left."""
        if not self._backlog.empty:
            self._ensure_drainer()

    @property
    def busy(self) -> bool:
        """Whether anything still has to arrive."""
        return bool(self._window) or not self._backlog.empty

    @property
    def in_flight(self) -> int:
        """Events that the broker has not acknowledged and the backlog does not hold."""
        return sum(e.lines for key, e in self._window.items() if key not in self._shelved)

    @property
    def backlog_bytes(self) -> int:
        return self._backlog.size

    def offer(self, envelopes: list[Envelope]) -> None:
        """Take envelopes, in order."""
        for envelope in envelopes:
            if len(self._window) >= WINDOW_MAX or self._window_bytes >= WINDOW_BYTES:
                self._stall()
                self._behind = True
            if not self._behind:
                self._send(envelope)
            elif not self._shelve(envelope):
                self._drop("spool_full", envelope.lines)

    def check(self, now: float) -> None:
        """Look at the time (monotonic seconds): an outage shows by silence."""
        oldest = next(iter(self._window.values())).queued_at if self._window else now
        if now - oldest > STALL_SECONDS:
            self._stall()
            self._behind = self._behind or now - oldest > OUTAGE_SECONDS
        elif not self._behind:
            self._stalled = False
        if self._dirty and now - self._synced_at > SYNC_SECONDS:
            self._synced_at, self._dirty = now, False
            self._backlog.sync()

    async def finish(self, timeout: float) -> None:
        """Wait until all has arrived, at most `timeout` seconds; keep the rest on disk."""
        deadline = asyncio.get_running_loop().time() + timeout
        while self.busy and (left := deadline - asyncio.get_running_loop().time()) > 0:
            self.check(asyncio.get_running_loop().time())
            await asyncio.sleep(min(left, 0.01))
        if self._drainer is not None:
            self._drainer.cancel()
        self._stall()
        self._closed = True
        lost = self.in_flight
        if isinstance(self._backlog, MemoryBacklog):
            lost += sum(_decode_meta(r.meta)[5] for r in self._backlog.peek(1 << 30))
        if lost:
            self._drop("closed", lost)
        self._backlog.sync()
        self._backlog.close()

    def _send(self, envelope: Envelope) -> None:
        self._seal.close(envelope)
        name = _name(envelope)
        self._window[name] = envelope
        self._window_bytes += len(envelope.value)
        if self._stalled and self._shelve(envelope):
            self._shelved.add(name)
        future = self._transport.send(envelope)
        future.add_done_callback(lambda done: self._settle(name, done))

    def _settle(self, name: Name, done: "asyncio.Future[None]") -> None:
        envelope = self._window.pop(name)
        self._window_bytes -= len(envelope.value)
        shelved = name in self._shelved
        self._shelved.discard(name)
        error = Lost("cancelled") if done.cancelled() else done.exception()
        if error is None:
            self.delivered += envelope.lines
        elif isinstance(error, Unsendable):
            self._drop(error.reason, envelope.lines)
        elif self._closed:
            return
        else:
            # For now the broker refuses: this one goes to the backlog, and all behind it too.
            if not shelved and not self._shelve(envelope):
                self._drop("spool_full", envelope.lines)
            shelved = False
            self._stall()
            self._behind = True
        if shelved:
            self._arrived.add(name)
        self._settled.set()

    def _stall(self) -> None:
        """What is in flight goes to the backlog as well: the agent may be killed any moment."""
        if not self._stalled:
            self._stalled = True
            for name, envelope in self._window.items():
                if name not in self._shelved and self._shelve(envelope):
                    self._shelved.add(name)

    def _shelve(self, envelope: Envelope) -> bool:
        held = Envelope(
            envelope.partition, envelope.value, envelope.lines, envelope.boot_id,
            envelope.first_seq, spooled=True,
        )  # fmt: skip
        self._seal.close(held)
        meta = _encode((
            held.partition, held.kid, held.mac.hex(), held.boot_id, held.first_seq, held.lines
        ))  # fmt: skip
        if not self._backlog.append(held.value, meta):
            return False
        self.spooled += held.lines
        self._dirty = True
        self._ensure_drainer()
        return True

    def _ensure_drainer(self) -> None:
        if self._drainer is None or self._drainer.done():
            self._drainer = asyncio.get_running_loop().create_task(self._drain())

    async def _drain(self) -> None:
        while not self._backlog.empty:
            held = [_envelope(record) for record in self._backlog.peek(DRAIN_COUNT)]
            ready = list(takewhile(lambda envelope: _name(envelope) not in self._window, held))
            if ready:
                if not await self._replay(ready):
                    await asyncio.sleep(RETRY_SECONDS)
            elif held:  # the oldest is on its way already
                self._settled.clear()
                await self._settled.wait()
            else:
                break  # what is left cannot be read
        self._behind = self._stalled = False
        self._arrived.clear()

    async def _replay(self, held: list[Envelope]) -> bool:
        """Send what the backlog holds and forget it; False when some have to go again."""
        waiting = [e for e in held if _name(e) not in self._arrived]
        futures = [self._transport.send(envelope) for envelope in waiting]
        outcomes = await asyncio.gather(*futures, return_exceptions=True)
        for envelope, outcome in zip(waiting, outcomes, strict=True):
            if isinstance(outcome, Unsendable):
                self._drop(outcome.reason, envelope.lines)
            elif outcome is not None:
                continue
            elif envelope.boot_id == self._boot_id:
                self.delivered += envelope.lines
            else:
                self.adopted += envelope.lines
            self._arrived.add(_name(envelope))
        done = 0
        while done < len(held) and _name(held[done]) in self._arrived:
            self._arrived.discard(_name(held[done]))
            done += 1
        self._backlog.ack(done)
        return done == len(held)


def _name(envelope: Envelope) -> Name:
    return envelope.boot_id, envelope.first_seq, envelope.partition


def _envelope(record: Record) -> Envelope:
    partition, kid, mac, boot_id, first_seq, lines = _decode_meta(record.meta)
    return Envelope(
        partition, record.payload, lines, boot_id, first_seq,
        spooled=True, kid=kid, mac=bytes.fromhex(mac),
    )  # fmt: skip
