"""From outputs to records: lines into envelopes, commands signed. The last stop before the producer."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import msgspec
from aiokafka import AIOKafkaProducer

from ingest import codec
from ingest.topics import CONTROL, CONTROL_LOG, TOPICS, VERDICTS
from stream.outputs import Answer, Forget, Latest, Line, Order, Output, Placed
from tracefuse import control, life, wire
from tracefuse.control import Command
from tracefuse.credentials import envelope_key
from tracefuse.signing import CommandSigner
from tracefuse.verdicts import encode as encode_verdict
from tracefuse.verdicts import seal

# Far below Kafka's limit of a record, whatever the lines hold.
RECORD_BYTES_MAX = 512 * 1024
# Batches of a topic whose outputs may be on their way at once: waiting for each took twice as long as
# deciding did. What is beyond the producer's one request under way waits in memory, so it is bounded.
BATCHES_MAX = 8


class Publisher:
    """Sends outputs in order, and tells when the broker has them.

    Parameters
    ----------
    producer
        Idempotent, started.
    signer
        Signs commands of author `auto`; None where nothing is commanded (join).
    master
        The key from which agents' keys derive: verdicts are proved with them.
    """

    def __init__(
        self, producer: AIOKafkaProducer, signer: CommandSigner | None = None, master: bytes = b""
    ):
        self._producer = producer
        self._master = master
        self._signer = signer

    async def publish(
        self, outputs: Iterable[Output], term: int, issued_at: int
    ) -> Awaitable[list[Any]]:
        """Hand all to the producer; what is returned is done when the broker has acknowledged every one.

        Verdicts and commands first: somebody is waiting for them.
        """
        outputs = list(outputs)
        waiting: list[Any] = await self._answers(o for o in outputs if isinstance(o, Answer))
        envelopes: dict[tuple[str, int, bytes], list[bytes]] = {}
        for output in outputs:
            if isinstance(output, Line | Placed):
                partition = _place(output)
                envelopes.setdefault((output.topic, partition, output.kind), []).append(
                    output.value
                )
            elif isinstance(output, Answer):
                continue
            elif isinstance(output, Latest):
                waiting.append(await self._latest(output))
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
        return asyncio.gather(*waiting)

    async def _answers(self, answers: Iterable[Answer]) -> list[Any]:
        """Verdicts leave first: an agent's thread stands still for each."""
        places: dict[int, list[bytes]] = {}
        for verdict, kid in answers:
            places.setdefault(wire.verdict_partition(verdict.boot_id), []).append(
                seal(verdict.boot_id, encode_verdict(verdict), kid, self._key(kid))
            )
        headers = [(wire.KIND, codec.VERDICTS), (wire.VERSION, b"1.0")]
        return [
            await self._producer.send(VERDICTS, value, partition=place, headers=headers)
            for place, lines in places.items()
            for value in _chunks(lines)
        ]

    def _key(self, kid: str) -> bytes:
        """The key of an agent's envelopes; join has proved that `kid` is one."""
        tenant, agent_id, generation = kid.split("/")
        return envelope_key(self._master, tenant, agent_id, int(generation))

    async def repeat(self, commands: Iterable[Command], term: int, issued_at: int) -> None:
        """Say again what stands, with a new owner's term: an older owner is heard no more."""
        waiting = [
            (await self._command(Order(command), term, issued_at, log=False))[0]
            for command in commands
        ]
        await asyncio.gather(*waiting)

    async def alive(self, partition: int, term: int, at: int) -> None:
        """Say that an inbox partition has an owner that works. Not awaited: the next one comes anyway."""
        assert self._signer is not None
        payload, sig = life.sealed(partition, term, at, self._signer)
        headers = [(wire.KID, self._signer.kid.encode()), (wire.SIG, sig)]
        await self._keyed(CONTROL, partition, life.key_of(partition), payload, headers)

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

    async def _latest(self, output: Latest) -> Any:
        place = wire.partition_of(output.key, TOPICS[output.topic].partitions)
        headers = [(wire.KIND, output.kind), (wire.VERSION, b"1.0")]
        return await self._keyed(output.topic, place, output.key, output.value, headers)

    async def _forget(self, output: Forget) -> Any:
        assert self._signer is not None, "only a worker with a key commands"
        place = control.partition_of_scope(output.key.rpartition(":")[0])
        # It relaxes: whoever may write here may not therefore say so.
        sig = self._signer.sign(output.key, b"")
        headers = [(wire.KID, self._signer.kid.encode()), (wire.SIG, sig)]
        return await self._keyed(CONTROL, place, output.key, None, headers)

    async def _keyed(
        self, topic: str, place: int, key: str, value: bytes | None,
        headers: list[tuple[str, bytes]],
    ) -> Any:  # fmt: skip
        return await self._producer.send(
            topic, value, key=key.encode(), partition=place, headers=headers
        )


class Underway:
    """Outputs of one topic's batches that the broker has not acknowledged yet, oldest first."""

    def __init__(self) -> None:
        self._batches: deque[asyncio.Task[None]] = deque()

    def add(self, sent: Awaitable[Any], heard: Callable[[], None]) -> None:
        """One more batch, as `Publisher.publish` returned it; `heard` is called when the broker has it."""
        self._batches.append(asyncio.create_task(_told(sent, heard)))

    async def room(self) -> None:
        """Wait until one more may leave. What the broker refused is raised, now and ever after."""
        batches = self._batches
        while batches and (len(batches) >= BATCHES_MAX or batches[0].done()):
            if not batches[
                0
            ].done():  # else nothing is to wait for: each turn of the loop may be long
                await asyncio.wait([batches[0]])
            batches[0].result()
            batches.popleft()

    async def settled(self) -> None:
        """Wait for all that have left by now. What the broker refused is raised."""
        for batch in list(self._batches):
            await asyncio.shield(batch)


async def _told(sent: Awaitable[Any], heard: Callable[[], None]) -> None:
    await sent
    heard()


def _place(line: Line | Placed) -> int:
    if isinstance(line, Placed):
        return line.partition
    return wire.partition_of(line.key, TOPICS[line.topic].partitions)


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
