"""A person's signed word on its way: into the agent's inbox, and what the agent's owner answers.

The owner decides what counts: its answer is a record of `agent.approvals.v1`, or a signal that says why not.
"""

import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition

from ingest import codec
from ingest.reading import reader
from ingest.records import IncidentLabel, IncidentReviewed, Label, Reviewed, Signal
from ingest.settings import Settings
from ingest.topics import APPROVALS, INBOX, SIGNALS
from tracefuse import wire
from tracefuse.errors import TracefuseError

# One hop through a worker takes 0.1 s; a restart of one a few seconds.
ANSWER_SECONDS = 15.0
_signal = msgspec.json.Decoder(Signal).decode
T = TypeVar("T", Label, IncidentLabel)


class NotCounted(TracefuseError):
    """The word did not count, or no worker has taken it yet. To the person: the text says which."""


async def tell(
    settings: Settings, fact: Reviewed | IncidentReviewed, kind: type[T],
    about: Callable[[T], bool], what: str,
) -> T:  # fmt: skip
    """Send a signed word; returns once the agent's owner has taken it.

    Parameters
    ----------
    kind, about
        What the owner writes of a word that counts, and whether such a record is about this one.
    what
        Names the word to people.

    Raises
    ------
    NotCounted
        To the person: the owner said why, or no worker runs.
    """
    number = wire.partition_of(wire.agent_key(fact.tenant, fact.agent_id))
    places = [TopicPartition(topic, number) for topic in (APPROVALS, SIGNALS)]
    async with reader(settings.bootstrap) as consumer:
        consumer.assign(places)
        for place, end in (await consumer.end_offsets(places)).items():
            consumer.seek(place, end)  # what follows from the word comes after it
        await _send(settings, number, fact)
        deadline = time.monotonic() + ANSWER_SECONDS
        while time.monotonic() < deadline:
            for found in await _said(consumer, kind):
                if not isinstance(found, Signal):
                    if about(found):
                        return found
                elif found.evidence.get("record_id") == fact.record_id:
                    raise NotCounted(found.sentence)
    raise NotCounted(
        f"no worker has taken {what} within {ANSWER_SECONDS:.0f} s. It waits in the agent's inbox;"
        " `tracefuse status` tells whether workers run"
    )


async def _send(settings: Settings, number: int, fact: Reviewed | IncidentReviewed) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.bootstrap, enable_idempotence=True, acks="all"
    )
    async with producer:
        await producer.send_and_wait(
            INBOX, codec.encode(fact), partition=number,
            headers=[(wire.KIND, codec.INBOX), (wire.VERSION, b"1.0")],
        )  # fmt: skip


async def _said(consumer: AIOKafkaConsumer, kind: type[T]) -> list[T | Signal]:
    decode = msgspec.json.Decoder(kind).decode
    polled = (await consumer.getmany(timeout_ms=200)).values()
    return [one for records in polled for record in records for one in _read(record, decode)]


def _read(record: ConsumerRecord, decode: Callable[[bytes], T]) -> Iterator[T | Signal]:
    for line in codec.lines(record.value):
        try:
            yield decode(line) if record.topic == APPROVALS else _signal(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            continue  # another record of the topic, or what somebody else wrote
