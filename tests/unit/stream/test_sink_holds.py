"""How much the sink holds in memory while ClickHouse takes nothing: a backlog stays in Kafka."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from ingest.topics import EVENTS, INBOX
from stream.sink import sink
from stream.sink.intake import Intake, Stored
from stream.sink.sink import Sink
from stream.sink.tables import Tables
from tests.pipe import MASTER, TENANT, TRACE, Told, envelope
from tracefuse import wire

PLACE = TopicPartition(EVENTS, wire.partition_of(wire.trace_key(TENANT, TRACE)))
POLLED = 10  # records of a poll, each of one event


class Backlog:
    """A consumer that always has more."""

    def __init__(self) -> None:
        self.told, self.offset, self.polls = Told(), 0, 0
        self.others = 0  # polls of another topic alone

    async def getmany(self, *wanted: TopicPartition, **_: Any) -> dict[TopicPartition, list[Any]]:
        if wanted and PLACE not in wanted:
            self.others += 1
            return {}
        self.polls += 1
        return {PLACE: [self._record() for _ in range(POLLED)]}

    def _record(self) -> Any:
        headers, value = envelope([self.told("thought")])
        self.offset += 1
        return SimpleNamespace(
            offset=self.offset - 1, timestamp=1_795_000_000_000, headers=headers, value=value
        )

    def pause(self, *_: TopicPartition) -> None:
        """As aiokafka's."""

    resume = pause


class Behind:
    """A sink with a backlog, whose partitions nobody has proved to be its own, so that it inserts nothing."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.backlog = Backlog()
        self.sink = Sink(
            cast(AIOKafkaConsumer, self.backlog), cast(Tables, SimpleNamespace()), MASTER
        )
        self.intake = self.sink._intakes[PLACE] = Intake(
            PLACE.topic, PLACE.partition, MASTER, Stored(), 0
        )
        asyncio.run(self.sink._turn())
        self.poll_bytes = self.intake.held
        monkeypatch.setattr(sink, "HELD_BYTES", 5 * self.poll_bytes)
        monkeypatch.setattr(sink, "PAUSE_SECONDS", 0.0)

    def turns(self, number: int) -> None:
        async def play() -> None:
            for _ in range(number):
                await self.sink._turn()

        asyncio.run(play())


def test_a_backlog_stays_in_kafka(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is polled beyond `HELD_BYTES`; what has been stored makes room."""
    behind = Behind(monkeypatch)
    behind.turns(40)
    assert behind.poll_bytes > 0
    assert behind.intake.held <= 6 * behind.poll_bytes
    held = behind.backlog.polls

    assert behind.intake.take(now=float("inf")) is not None
    behind.turns(3)
    assert behind.backlog.polls == held, "an insert under way is not stored yet"
    behind.intake.settled()
    assert behind.intake.held == 0
    behind.turns(3)
    assert behind.backlog.polls == held + 3


def test_who_holds_much_stays_in_the_group(monkeypatch: pytest.MonkeyPatch) -> None:
    """It polls now and then all the same: Kafka takes who does not for dead."""
    behind = Behind(monkeypatch)
    behind.turns(20)
    held = behind.backlog.polls
    behind.turns(1)
    assert behind.backlog.polls == held
    monkeypatch.setattr(sink, "UNPOLLED_SECONDS_MAX", -1.0)
    behind.turns(1)
    assert behind.backlog.polls == held + 1


def test_a_full_topic_does_not_stop_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one whose table takes nothing no more is read; the others go on."""
    behind = Behind(monkeypatch)
    behind.sink._intakes[TopicPartition(INBOX, 0)] = Intake(INBOX, 0, MASTER, Stored(), 0)
    behind.turns(20)
    held = behind.backlog.polls
    others = behind.backlog.others
    behind.turns(3)
    assert behind.backlog.polls == held
    assert behind.backlog.others == others + 3
