"""From outputs to records: lines into envelopes, commands signed. The last stop before the producer."""

import asyncio
from collections.abc import Iterable
from typing import Any

import msgspec
from aiokafka import AIOKafkaProducer

from ingest import codec
from ingest.topics import CONTROL, CONTROL_LOG, TOPICS
from stream.outputs import Forget, Line, Order, Output
from tracefuse import control, wire
from tracefuse.control import Command
from tracefuse.signing import CommandSigner

# Far below Kafka's limit of a record, whatever the lines hold.
RECORD_BYTES_MAX = 512 * 1024


class Publisher:
    """Sends outputs and waits until the broker has them.

    Parameters
    ----------
    producer
        Idempotent, started.
    signer
        Signs commands of author `auto`; None where nothing is commanded (join).
    """

    def __init__(self, producer: AIOKafkaProducer, signer: CommandSigner | None = None):
        self._producer = producer
        self._signer = signer

    async def publish(self, outputs: Iterable[Output], term: int, issued_at: int) -> None:
        """Send all and await every acknowledgement. Commands first: somebody is waiting for them."""
        waiting: list[Any] = []
        envelopes: dict[tuple[str, int, bytes], list[bytes]] = {}
        for output in outputs:
            if isinstance(output, Line):
                partition = wire.partition_of(output.key, TOPICS[output.topic].partitions)
                envelopes.setdefault((output.topic, partition, output.kind), []).append(
                    output.value
                )
            elif isinstance(output, Order):
                waiting += await self._command(output, term, issued_at)
            else:
                waiting.append(await self._forget(output))
        for (topic, partition, kind), lines in envelopes.items():
            for value in _chunks(lines):
                headers = [(wire.KIND, kind), (wire.VERSION, b"1.0")]
                waiting.append(
                    await self._producer.send(topic, value, partition=partition, headers=headers)
                )
        if waiting:
            await asyncio.gather(*waiting)

    async def repeat(self, commands: Iterable[Command], term: int, issued_at: int) -> None:
        """Say again what stands, with a new owner's term: an older owner is heard no more."""
        waiting = [
            (await self._command(Order(command), term, issued_at, log=False))[0]
            for command in commands
        ]
        await asyncio.gather(*waiting)

    async def _command(
        self, order: Order, term: int, issued_at: int, log: bool = True
    ) -> list[Any]:
        assert self._signer is not None, "only a worker with a key commands"
        command = msgspec.structs.replace(order.command, term=term, issued_at=issued_at)
        key = control.control_key(command.scope, command.author)
        payload = control.encode(command)
        headers = [
            (wire.KIND, codec.COMMANDS),
            (wire.KID, self._signer.kid.encode()),
            (wire.SIG, self._signer.sign(key, payload)),
        ]
        place = control.partition_of_scope(command.scope)
        sent = [await self._keyed(CONTROL, place, key, payload, headers)]
        if log:
            place = wire.partition_of(command.scope)
            sent.append(await self._keyed(CONTROL_LOG, place, command.scope, payload, headers))
        return sent

    async def _forget(self, output: Forget) -> Any:
        place = control.partition_of_scope(output.key.rpartition(":")[0])
        return await self._keyed(CONTROL, place, output.key, None, [])

    async def _keyed(
        self, topic: str, place: int, key: str, value: bytes | None,
        headers: list[tuple[str, bytes]],
    ) -> Any:  # fmt: skip
        return await self._producer.send(
            topic, value, key=key.encode(), partition=place, headers=headers
        )


def _chunks(lines: list[bytes]) -> Iterable[bytes]:
    """Envelopes of at most `LINES_MAX` lines and `RECORD_BYTES_MAX` bytes; a long line goes alone."""
    chunk: list[bytes] = []
    size = 0
    for line in lines:
        if chunk and (len(chunk) == wire.LINES_MAX or size + len(line) > RECORD_BYTES_MAX):
            yield codec.envelope(chunk)
            chunk, size = [], 0
        chunk.append(line)
        size += len(line) + 1
    if chunk:
        yield codec.envelope(chunk)
