"""What stands of one scope on the control topic: the newest proven record of each author."""

from dataclasses import dataclass
from typing import Self

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from ingest.keys import Keys
from ingest.settings import Settings
from ingest.topics import CONTROL
from tracefuse import control, people, wire
from tracefuse.control import Command
from tracefuse.people import Signed


@dataclass(frozen=True, slots=True)
class Standing:
    """The newest record of one scope and author on the control topic."""

    command: Command
    at: int  # the broker's time, ms


class Reader:
    """Follows the two control records of one scope; forged ones count for nothing."""

    def __init__(self, settings: Settings, keys: Keys, scope: str):
        self._names = {
            control.control_key(scope, author).encode(): author for author in ("auto", "human")
        }
        self._place = control.partition_of_scope(scope)
        self._verifier = keys.verifier()
        self._found: dict[str, Standing] = {}
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=settings.bootstrap, enable_auto_commit=False
        )

    async def __aenter__(self) -> Self:
        try:
            await self._consumer.start()
        except BaseException:
            await self._consumer.stop()  # the client leaks its connections otherwise
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    def standing(self, author: str) -> Standing | None:
        return self._found.get(author)

    async def catch_up(self) -> None:
        """Read what is there now."""
        partitions = [TopicPartition(CONTROL, self._place)]
        self._consumer.assign(partitions)
        await self._consumer.seek_to_beginning(*partitions)
        ends = await self._consumer.end_offsets(partitions)
        for partition, end in ends.items():
            while await self._consumer.position(partition) < end:
                await self._take(200)

    async def follow(self, seconds: float) -> bool:
        """Wait for more; false when the time is over."""
        if seconds <= 0:
            return False
        await self._take(min(200, int(seconds * 1000) + 1))
        return True

    async def _take(self, timeout_ms: int) -> None:
        for records in (await self._consumer.getmany(timeout_ms=timeout_ms)).values():
            for record in records:
                if record.key in self._names:
                    self._judge(self._names[record.key], record)

    def _judge(self, author: str, record: ConsumerRecord) -> None:
        kid = wire.header(record.headers, wire.KID).decode(errors="replace")
        sig = wire.header(record.headers, wire.SIG)
        said = Signed(
            payload=record.value or b"",
            kid=kid,
            sig=sig,
            kid2=wire.header(record.headers, wire.KID2).decode(errors="replace"),
            sig2=wire.header(record.headers, wire.SIG2),
        )
        if not self._proven(author, record.key.decode(), said):
            return
        if record.value is None:  # a run that has ended
            self._found.pop(author, None)
        else:
            try:
                self._found[author] = Standing(control.decode(record.value), record.timestamp)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                return

    def _proven(self, author: str, key: str, said: Signed) -> bool:
        if author == people.AUTHOR:
            return people.proven(self._verifier, key, said)
        ours = said.kid.startswith(f"{author}/")
        return ours and self._verifier.verify(said.kid, key, said.payload, said.sig)
