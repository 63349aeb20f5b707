"""A person judges an allowed call afterwards. Needs the broker; the agent's owner decides what counts.

tracefuse review CALL ──► agent.inbox.v1, signed ──► worker ──► agent.approvals.v1, or a signal why not
"""

import time
from collections.abc import Iterator

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition

from ingest import codec
from ingest.keys import Keys
from ingest.reading import reader
from ingest.records import Judgement, Label, Review, Reviewed, Sampled, Signal
from ingest.settings import Settings
from ingest.topics import APPROVALS, INBOX, SIGNALS
from stream.reviewing import NAME_CHARACTERS_MAX, NOTE_CHARACTERS_MAX, record_key
from tracefuse import wire
from tracefuse.clock import now_us
from tracefuse.errors import TracefuseError

# One hop through a worker takes 0.1 s; a restart of one a few seconds.
ANSWER_SECONDS = 15.0
_label = msgspec.json.Decoder(Label).decode
_signal = msgspec.json.Decoder(Signal).decode


class NotCounted(TracefuseError):
    """The label did not count, or no worker has taken it yet. To the person: the text says which."""


async def judge(
    settings: Settings, keys: Keys, call: Sampled, label: Judgement, by: str, note: str = ""
) -> Label:
    """Sign a label and send it; returns once the agent's owner has taken it.

    Parameters
    ----------
    call
        As it was put aside: the label is bound to its tool and arguments.

    Raises
    ------
    NotCounted
        To the person: who asked may not judge, or it is too long, or no worker runs.
    """
    if by == call.user_id:
        raise NotCounted("who asked may not judge")
    if not 0 < len(by) <= NAME_CHARACTERS_MAX or len(note) > NOTE_CHARACTERS_MAX:
        raise NotCounted(
            f"a name has 1 to {NAME_CHARACTERS_MAX} characters, a note at most {NOTE_CHARACTERS_MAX}"
        )
    fact = reviewed(keys, call, label, by, note)
    number = wire.partition_of(wire.agent_key(call.tenant, call.agent_id))
    places = [TopicPartition(topic, number) for topic in (APPROVALS, SIGNALS)]
    async with reader(settings.bootstrap) as consumer:
        consumer.assign(places)
        for place, end in (await consumer.end_offsets(places)).items():
            consumer.seek(place, end)  # what follows from the label comes after it
        await _send(settings, number, fact)
        return await _taken(consumer, fact)


def reviewed(keys: Keys, call: Sampled, label: Judgement, by: str, note: str) -> Reviewed:
    """The signed label as it enters the agent's inbox."""
    review = Review(
        trace_id=call.trace_id, call_id=call.call_id, tool=call.tool, args_hash=call.args_hash,
        label=label, by=by, note=note, at=now_us(),
    )  # fmt: skip
    payload, signer = codec.encode(review), keys.signer("human")
    sig = signer.sign(record_key(call.tenant, call.agent_id, call.trace_id, call.call_id), payload)
    return Reviewed(
        record_id=f"rev-{sig.hex()[:32]}", tenant=call.tenant, agent_id=call.agent_id,
        trace_id=call.trace_id, call_id=call.call_id, kid=signer.kid, sig=sig, payload=payload,
    )  # fmt: skip


async def _send(settings: Settings, number: int, fact: Reviewed) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.bootstrap, enable_idempotence=True, acks="all"
    )
    async with producer:
        await producer.send_and_wait(
            INBOX, codec.encode(fact), partition=number,
            headers=[(wire.KIND, codec.INBOX), (wire.VERSION, b"1.0")],
        )  # fmt: skip


async def _taken(consumer: AIOKafkaConsumer, fact: Reviewed) -> Label:
    deadline = time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < deadline:
        for records in (await consumer.getmany(timeout_ms=200)).values():
            for found in (one for record in records for one in _said(record)):
                if isinstance(found, Label):
                    if _about(found, fact):
                        return found
                elif found.evidence.get("record_id") == fact.record_id:
                    raise NotCounted(found.sentence)
    raise NotCounted(
        f"no worker has taken the label of {fact.call_id} within {ANSWER_SECONDS:.0f} s. It waits in the"
        " agent's inbox; `tracefuse status` tells whether workers run"
    )


def _about(found: Label, fact: Reviewed) -> bool:
    review = msgspec.json.decode(fact.payload, type=Review)
    return (found.tenant, found.agent_id, found.trace_id, found.call_id, found.by, found.said_at) == (
        fact.tenant, fact.agent_id, review.trace_id, review.call_id, review.by, review.at,
    )  # fmt: skip


def _said(record: ConsumerRecord) -> Iterator[Label | Signal]:
    decode = _label if record.topic == APPROVALS else _signal
    for line in codec.lines(record.value):
        try:
            yield decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            continue  # another record of the topic, or what somebody else wrote
