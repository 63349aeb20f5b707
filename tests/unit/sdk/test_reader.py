"""The reader of commands and verdicts, over a broker of one process: what it hears after it was away."""

import asyncio
from typing import Any, NamedTuple

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError

from tests.sdk import CREDENTIAL
from tracefuse import commands, verdicts
from tracefuse.answers import Answers
from tracefuse.gate import Gate
from tracefuse.held import Held
from tracefuse.signing import CommandVerifier
from tracefuse.verdicts import Verdict
from tracefuse.wire import VERDICTS


class _Record(NamedTuple):
    topic: str
    partition: int
    offset: int
    value: bytes


class _Broker:
    """Verdicts in order; the first consumer loses its connection once somebody waits."""

    def __init__(self, held: Held) -> None:
        self.held, self.log, self.lives = held, [b"{}"], 0
        self.waiting: Any = None

    def consumer(self, **options: object) -> "_Consumer":
        self.lives += 1
        return _Consumer(self, self.lives)

    def say(self, verdict: Verdict) -> None:
        said = verdicts.encode(verdict)
        kid, key = CREDENTIAL.kid, CREDENTIAL.envelope_key
        self.log.append(verdicts.seal(verdict.boot_id, said, kid, key))


class _Consumer:
    """As much of Kafka's as the reader asks for."""

    def __init__(self, broker: _Broker, life: int) -> None:
        self.broker, self.life = broker, life
        self.at: dict[TopicPartition, int] = {}

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def end_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        return {tp: len(self.broker.log) if tp.topic == VERDICTS else 0 for tp in partitions}

    def assign(self, partitions: list[TopicPartition]) -> None: ...

    async def seek_to_beginning(self, *partitions: TopicPartition) -> None: ...

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.at[partition] = offset

    async def getmany(self, timeout_ms: int) -> dict[TopicPartition, list[_Record]]:
        await asyncio.sleep(0)
        if self.life == 1:
            broker = self.broker
            broker.waiting = broker.held.ask("apr-1", 0)
            note = Verdict(
                call_id="apr-1", attempt=0, tenant="acme", agent_id="refunds", trace_id="t",
                boot_id="b", word="allow",
            )  # fmt: skip
            broker.say(note)  # the connection is lost before it is read
            raise KafkaConnectionError("away")
        found: dict[TopicPartition, list[_Record]] = {}
        for tp, begin in self.at.items():
            if tp.topic == VERDICTS:
                lines = enumerate(self.broker.log[begin:], begin)
                found[tp] = [_Record(tp.topic, tp.partition, n, line) for n, line in lines]
                self.at[tp] = len(self.broker.log)
        return found


def test_what_a_person_answered_while_the_broker_was_away_is_heard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever waits learns of it as soon as the reader is back; what is older stays unread."""
    held = Held("b")
    broker, answers = _Broker(held), Answers(CREDENTIAL, held)
    monkeypatch.setattr(commands, "AIOKafkaConsumer", broker.consumer)
    monkeypatch.setattr(commands, "RETRY_SECONDS", 0.0)
    gate = Gate("acme", "refunds", CommandVerifier({}))

    async def back() -> Verdict:
        reader = commands.CommandReader("nowhere", gate, lambda *_: None, answers, {})
        task = asyncio.create_task(reader.run())
        while broker.waiting is None:  # noqa: ASYNC110 - it is set within the loop
            await asyncio.sleep(0)
        try:
            answer: Verdict = await asyncio.wait_for(asyncio.wrap_future(broker.waiting), 20.0)
        finally:
            task.cancel()
        return answer

    assert asyncio.run(back()).word == "allow"
    assert answers.rejected == 0
