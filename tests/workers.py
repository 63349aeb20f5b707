"""Worker processes, a steady load and the verdict of the log: what fault tests share."""

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

from aiokafka import AIOKafkaProducer

from ingest.keys import Keys
from ingest.settings import Settings
from stream.replay import replay
from tests import load
from tracefuse.clock import now_us

ROOT = Path(__file__).parents[1]
RATE = 1000  # events per second
AGENTS = 30
FLUSH_SECONDS = 20.0
END_SECONDS = 30.0
READY_SECONDS = 60.0  # a start takes four
READY = b"[^Worker]: Ready"
# What `python -m` is given, as in production.
WORKER, SINK = ("stream.worker.app",), ("dashboards.cli", "sink")
CORRELATE = ("dashboards.cli", "correlate")


class Processes:
    """Worker processes that are killed and started again, each as itself (static membership)."""

    def __init__(self, settings: Settings, folder: Path, module: tuple[str, ...] = WORKER):
        self.settings, self.folder, self.module = settings, folder, module
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self._begins: dict[str, int] = {}  # where in its log the latest start begins

    def start(self, name: str, *module: str) -> None:
        environ = {**os.environ, **self.settings.environment(), "TRACEFUSE_INSTANCE": name}
        with (self.folder / f"{name}.log").open("ab") as log:
            self._begins[name] = log.tell()
            self.running[name] = subprocess.Popen(
                [sys.executable, "-m", *(module or self.module)],
                cwd=ROOT, env=environ, stdout=log, stderr=log,
            )  # fmt: skip

    async def ready(self, *names: str) -> None:
        """Wait until workers own their partitions, as they say it themselves."""
        deadline = time.monotonic() + READY_SECONDS
        for name in names:
            while READY not in (self.folder / f"{name}.log").read_bytes()[self._begins[name] :]:
                assert time.monotonic() < deadline, f"{name} is not ready: {self.log(name)}"
                await asyncio.sleep(0.1)

    def kill(self, name: str) -> None:
        process = self.running[name]
        assert process.poll() is None, f"{name} had ended by itself: {self.log(name)}"
        process.send_signal(signal.SIGKILL)
        process.wait()

    def revive(self) -> None:
        """Start again what ended by itself, as the supervisor would."""
        for name, process in list(self.running.items()):
            if process.poll() is not None:
                self.start(name)

    def end(self, name: str) -> None:
        """End it in good order; one that does not is a failure, and never outlives its test."""
        process = self.running.pop(name)
        process.terminate()
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"{name} would not end: {self.log(name)}") from None

    def stop(self) -> None:
        for name in list(self.running):
            self.end(name)

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")[-3000:]


class Poured:
    """What the load's producer did: events handed over, and events that the broker has confirmed."""

    def __init__(self) -> None:
        self.sent = 0
        self.acked = 0

    def confirmed(self, lines: int, future: "asyncio.Future[object]") -> None:
        if not future.cancelled() and future.exception() is None:
            self.acked += lines


async def pour(settings: Settings, keys: Keys, seed: int, until: asyncio.Event) -> Poured:
    """Send the load in open loop until told to stop."""
    fleet, rng, poured = load.agents(keys, AGENTS, seed), random.Random(seed), Poured()
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.bootstrap, enable_idempotence=True, linger_ms=2
    )
    await producer.start()
    started = time.monotonic()
    try:
        while not until.is_set():
            if poured.sent > RATE * (time.monotonic() - started):
                await asyncio.sleep(0.005)
                continue
            lines, future = await load.send(producer, rng.choice(fleet), now_us())
            poured.sent += lines
            future.add_done_callback(partial(poured.confirmed, lines))
    finally:
        # A producer that lost its broker in the wrong moment may wait for ever; what it has not
        # confirmed is promised to nobody.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(producer.stop(), FLUSH_SECONDS)
    return poured


async def verified(settings: Settings, keys: Keys, patience: float = 30.0) -> replay.Report:
    """The report, once the workers have caught up: asked again while only the tail is missing."""
    deadline = time.monotonic() + patience
    while True:
        report = await replay.verify(settings, keys)
        if report.exit_code == replay.SAME or time.monotonic() > deadline:
            return report
        await asyncio.sleep(2.0)
