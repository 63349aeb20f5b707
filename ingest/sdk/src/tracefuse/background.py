"""The one thread behind the agent: takes drafts, makes envelopes, sends heartbeats, hears commands.

    emitter ──take──► witness ──► packer ──► delivery ──► transport

It sleeps while nothing happens, turns every 50 ms while events flow, and is woken at once by what
must not wait: calls of tools, errors, acknowledgements, and the first event after a pause.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from tracefuse import clock
from tracefuse.backlog import Backlog
from tracefuse.delivery import Delivery
from tracefuse.drafts import Draft, Run
from tracefuse.emitter import Emitter
from tracefuse.envelopes import Packer, Seal
from tracefuse.evidence import Witness
from tracefuse.rhythm import Haste, Heart
from tracefuse.transports import Transport
from tracefuse.wire import partition_of, trace_key

# How long an event may wait for company while many come. A turn of a thread that slept costs about
# 0.3 ms whatever it does (cold caches), and as much again in the broker and the workers: a fleet that
# turned every 20 ms would spend most of two cores on turning.
TICK_SECONDS = 0.05
# How often it is looked at whether the broker is silent, while it owes an answer and no event comes.
CHECK_SECONDS = 0.1
# Drafts worked on before the loop, and with it the network, has its turn again: about 4 ms.
SLICE = 200
_log = logging.getLogger("tracefuse")


class Background:
    """The thread and its loop.

    Parameters
    ----------
    emitter
        Where drafts come from.
    witness, seal
        Make lines of drafts and prove envelopes.
    transport, backlog
        Called on the thread, to make what belongs to its loop.
    boot
        The run outside all runs: heartbeats and acknowledgements carry its trace id.
    beside
        A coroutine that runs on the loop until the end: the reader of commands.
    """

    def __init__(
        self,
        emitter: Emitter,
        witness: Witness,
        seal: Seal,
        transport: Callable[[], Transport],
        backlog: Callable[[], Backlog],
        boot: Run,
        beside: Callable[[], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        self.emitter = emitter
        self.witness = witness
        self.emitted = 0
        self.delivery: Delivery | None = None
        self._seal, self._make_transport, self._make_backlog = seal, transport, backlog
        self._beside = beside
        self._packer = Packer(witness.identity.boot_id)
        self._seq = 0
        self._missed = 0  # dropped by the emitter; their numbers are left out
        now = clock.monotonic()
        self._heart, self._haste = Heart(boot, now), Haste(now)
        self._busy_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._timeout = 0.0
        self._closing = self._started = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="tracefuse", daemon=True)

    def start(self) -> None:
        """Start the thread, once."""
        with self._lock:
            if not self._started:
                self._started = True
                self._thread.start()

    def close(self, timeout: float) -> None:
        """Send what waits, at most `timeout` seconds; then end the thread."""
        self._timeout = timeout
        self._closing = True  # the thread looks at it once it has a loop
        loop, stop = self._loop, self._stop
        if not self._started or self._thread is threading.current_thread():
            return
        if loop is not None and stop is not None:
            try:
                loop.call_soon_threadsafe(stop.set)
            except RuntimeError:
                return  # it has ended already
        self._thread.join(timeout + 5.0)

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except Exception:
            _log.exception("The tracefuse thread failed; events are dropped from now on.")
        finally:
            self.emitter.closed = True

    async def _main(self) -> None:
        loop = self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        transport = self._make_transport()
        transport.start()
        self.delivery = Delivery(
            transport,
            self._make_backlog(),
            self._seal,
            self._packer.boot_id,
            self.emitter.drop,
        )
        self.delivery.start()
        beside = loop.create_task(self._beside()) if self._beside is not None else None
        self.emitter.attach(self._wake_threadsafe)
        self._tick()
        if self._closing:
            self._stop.set()
        try:
            await self._stop.wait()
        finally:
            await self._end(beside, transport)

    def _wake_threadsafe(self) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        """Somebody has something that should not wait."""
        now = clock.monotonic()
        if self.emitter.idle:
            self.emitter.idle = False
        elif not self.emitter.held:
            allowed = self._haste.allows(now)
            self.emitter.hasty_at = self._haste.next_at
            if not allowed:
                return  # the next tick takes it, in 50 ms at most
        self._schedule(TICK_SECONDS)  # all that waits leaves now
        self._collect(now)
        self._flush()

    def _tick(self) -> None:
        now = clock.monotonic()
        assert self.delivery is not None
        try:
            self._collect(now)
            for run in self._heart.due(self.emitter.runs, now):
                self._add(Draft("heartbeat", run, run.root, clock.now_us()), now)
            self._flush()
            self.delivery.check(now)
        except Exception:
            _log.exception("A turn of the tracefuse thread failed.")
        if now - self._busy_at < TICK_SECONDS:
            self._schedule(TICK_SECONDS)
            return
        self.emitter.idle = True  # a turn for nothing is a pause: the next event leaves at once
        if len(self.emitter):
            self.emitter.idle = False
            self._schedule(TICK_SECONDS)
        else:
            beat = self._heart.wait(self.emitter.runs, now)
            self._schedule(min(beat, CHECK_SECONDS) if self.delivery.busy else beat)

    def _schedule(self, seconds: float) -> None:
        assert self._loop is not None
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, self._tick)

    def _collect(self, now: float) -> None:
        """Make lines of what waits, a slice at a time."""
        taken = 0
        for draft in self.emitter.take(SLICE):
            self._add(draft, now)
            taken += 1
        if taken:
            self._busy_at = now
        if taken == SLICE:
            assert self._loop is not None
            self._loop.call_soon(self._collect_more)

    def _collect_more(self) -> None:
        self._flush()
        self._collect(clock.monotonic())

    def _add(self, draft: Draft, now: float) -> None:
        missed = self.emitter.missed
        self._seq += 1 + missed - self._missed
        self._missed = missed
        run = draft.run
        if run.partition < 0:
            run.partition = partition_of(trace_key(self.witness.identity.tenant, run.trace_id))
            run.user_id = self.witness.pseudonym(run.user_id)
            run.session_id = self.witness.pseudonym(run.session_id)
        try:
            line = self.witness.line(draft, self._seq)
        except Exception:
            _log.debug("An event could not be written.", exc_info=True)
            self.emitter.drop("unwritable")
            return
        self.emitted += 1
        self._packer.add(run.partition, line, self._seq, now)

    def _flush(self) -> None:
        if self._packer.lines:
            assert self.delivery is not None
            self.delivery.offer(self._packer.flush())

    async def _end(self, beside: "asyncio.Task[None] | None", transport: Transport) -> None:
        assert self.delivery is not None
        self.emitter.closed = True
        if self._timer is not None:
            self._timer.cancel()
        if beside is not None:
            beside.cancel()
        while len(self.emitter):
            self._collect(clock.monotonic())
            self._flush()
        self._flush()
        await self.delivery.finish(self._timeout)
        await transport.stop()
        if beside is not None:
            await _quietly(beside)


async def _quietly(task: Awaitable[None]) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.gather(task, return_exceptions=True), 2.0)
