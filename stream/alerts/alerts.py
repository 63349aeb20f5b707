"""Incidents to the people who answer for the agents. Plain aiokafka; the routes are the agent files' own.

`alertmanager` posts to Alertmanager, anything else is an apprise address. What to say, to whom and how
often is decided in `desk.py`; here is only what moves. A route that hangs holds a thread of its own.
Positions are committed when everybody has heard: after a crash people hear a thing twice rather than never.
"""

import asyncio
import json
import logging
import os
import urllib.request
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import apprise
import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError

from ingest import codec, metrics
from ingest.keys import Keys
from ingest.records import Incident
from ingest.settings import Settings
from ingest.topics import INCIDENTS
from stream.alerts.desk import ALERTMANAGER, Desk
from stream.alerts.firing import FIRING_SECONDS, Alert
from stream.alerts.notice import Notice
from tracefuse import wire
from tracefuse.clock import now_us

log = logging.getLogger("tracefuse.alerts")

GROUP = "tracefuse-alerts"
POLL_MS = 200
COMMIT_SECONDS = 1.0
POST_SECONDS = 10.0  # Alertmanager answers in milliseconds; what takes longer hangs
THREADS = 8  # routes told at once; apprise gives one up after 8 s

# Alertmanager stands beside us; a proxy of the environment is for the outside.
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_incident = msgspec.json.Decoder(Incident).decode


class Hopeless(Exception):
    """A route that can never be told: to the operator, by the log; the incident is not tried again."""


class Alerts(ConsumerRebalanceListener):  # type: ignore[misc]
    """One process that tells.

    Parameters
    ----------
    consumer
        Not started, without automatic commits.
    alertmanager
        Its base URL, empty for none.
    """

    def __init__(self, consumer: AIOKafkaConsumer, alertmanager: str):
        self._consumer, self._alertmanager = consumer, alertmanager.rstrip("/")
        self._desk = Desk(bool(alertmanager))
        self._told: dict[int, int] = {}  # by partition: what lies below was told before this start
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="route")
        self._posting = False
        self._commit_at = 0.0

    async def run(self) -> None:
        """Tell until cancelled."""
        self._consumer.subscribe([INCIDENTS], listener=self)
        try:
            async with asyncio.TaskGroup() as self._tasks:
                await self._consumer.start()
                while True:
                    for tp, records in (await self._consumer.getmany(timeout_ms=POLL_MS)).items():
                        for record in records:
                            self._read(tp, record)
                    self._tell()
                    await self._commit()
        except ExceptionGroup as group:
            raise group.exceptions[0] from group
        finally:
            self._threads.shutdown(wait=False, cancel_futures=True)
            await self._consumer.stop()

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """What nobody has heard yet is the next owner's to tell."""
        self._desk = Desk(bool(self._alertmanager))

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Begin an hour back, so that what fires is known again; what was told is told to nobody."""
        since = now_us() // 1000 - int(FIRING_SECONDS * 1000)
        ends = await self._consumer.end_offsets(list(assigned))
        found = await self._consumer.offsets_for_times(dict.fromkeys(assigned, since))
        for tp in assigned:
            hour = found[tp].offset if found.get(tp) else ends[tp]
            committed = await self._consumer.committed(tp)
            self._told[tp.partition] = hour if committed is None else committed
            self._consumer.seek(tp, min(hour, self._told[tp.partition]))

    def _read(self, tp: TopicPartition, record: Any) -> None:
        place, now = (tp.partition, record.offset), _now()
        told = record.offset < self._told.get(tp.partition, 0)
        self._desk.skip(place)
        if wire.header(record.headers, wire.KIND) != codec.INCIDENTS or record.value is None:
            return
        for line in codec.lines(record.value):
            try:
                self._desk.take(place, _incident(line), told, now)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                metrics.DEAD_LETTERS.labels("alerts", "malformed").inc()
                log.error("Incident at %s cannot be read: %s", place, error)

    def _tell(self) -> None:
        now, desk = _now(), self._desk
        if not self._posting and (alerts := desk.alerts(now)):
            self._posting = True
            self._tasks.create_task(self._post(desk, alerts))
        for route, message in desk.messages(now):
            self._tasks.create_task(self._notify(desk, route, message.notice))

    async def _post(self, desk: Desk, alerts: list[Alert]) -> None:
        try:
            if await self._tried(ALERTMANAGER, post, self._alertmanager, alerts):
                desk.posted(_now())
            else:
                desk.refused(_now())
        finally:
            self._posting = False

    async def _notify(self, desk: Desk, route: str, notice: Notice) -> None:
        try:
            if await self._tried(kind(route), notify, route, notice):
                desk.delivered(route, _now())
            else:
                desk.failed(route, _now())
        except Hopeless as error:
            log.error("A route cannot be told at all: %s", error)
            desk.failed(route, _now(), hopeless=True)

    async def _tried(self, label: str, call: Callable[..., None], *arguments: Any) -> bool:
        """Whether the route took it; what it raised is logged without the address, a secret often."""
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._threads, call, *arguments)
        except Hopeless:
            metrics.ALERTS_FAILED.labels(label).inc()
            raise
        except Exception as error:
            metrics.ALERTS_FAILED.labels(label).inc()
            log.warning("%s did not take an alarm, tried again: %s", label, type(error).__name__)
            return False
        metrics.ALERTS_SENT.labels(label).inc()
        return True

    async def _commit(self) -> None:
        if (now := _now()) < self._commit_at:
            return
        self._commit_at = now + COMMIT_SECONDS
        owned = self._consumer.assignment()
        safe = {TopicPartition(INCIDENTS, p): offset for p, offset in self._desk.safe().items()}
        moved = {
            tp: max(offset, self._told.get(tp.partition, 0))
            for tp, offset in safe.items()
            if tp in owned
        }
        with suppress(KafkaError):  # a rebalance is under way: the next owner tells again
            if moved:
                await self._consumer.commit(moved)
        for tp, offset in moved.items():
            end = self._consumer.highwater(tp)
            lag = metrics.LAG.labels("alerts", tp.topic, str(tp.partition))
            lag.set(max(0, (end or offset) - offset))


def post(base: str, alerts: list[Alert]) -> None:
    """Alertmanager's API v2. Raises what urllib raises when it does not take them."""
    request = urllib.request.Request(
        f"{base}/api/v2/alerts",
        json.dumps(alerts).encode(),
        {"Content-Type": "application/json"},
    )
    with _direct.open(request, timeout=POST_SECONDS) as answer:
        answer.read()


def notify(route: str, notice: Notice) -> None:
    """One apprise address. Raises `Hopeless` for one that apprise cannot read, else what it raises."""
    told = apprise.Apprise()
    if not told.add(route):
        raise Hopeless(f"apprise knows no address of kind {kind(route)!r} like this one")
    if not told.notify(title=notice.title, body=notice.body, body_format=apprise.NotifyFormat.TEXT):
        raise OSError("not taken")


def kind(route: str) -> str:
    """The scheme of an address: all of it that may be logged or counted.

    >>> kind("json://user:secret@example.org/hook")
    'json'
    """
    return route.partition(":")[0][:32]


def _now() -> float:
    return now_us() / 1e6


async def run(settings: Settings, keys: Keys) -> None:
    """Tell until cancelled."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.bootstrap,
        group_id=GROUP,
        group_instance_id=os.environ.get("TRACEFUSE_INSTANCE") or None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    await Alerts(consumer, settings.alertmanager).run()
