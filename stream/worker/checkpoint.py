"""Checkpoints on `agent.state.v1`: exact state of a partition at one offset, safe when torn.

Each key has two slots. A save writes every changed key into the slot that the last complete checkpoint
does not need, and the marker after them; so until the marker stands, the older cells are all there. A
cell says up to which offset it is true. State is a function of the inputs up to an offset, so the newest
cell not beyond the marker is right, whoever wrote it and whether or not his own marker followed.
"""

import hmac
from collections.abc import Awaitable, Iterable
from typing import Any

import msgspec
from aiokafka import AIOKafkaProducer, TopicPartition

from ingest.reading import reader
from ingest.topics import STATE
from stream.partition import Marker

_MAC_BYTES = 32
# A cell is at most this large; Kafka's own limit for a record is 1,048,588 bytes.
CELL_BYTES_MAX = 1_000_000


class Cell(msgspec.Struct, array_like=True):
    """State of one key up to `offset`; no data means that the key was gone."""

    offset: int
    data: bytes | None


_cell = msgspec.msgpack.Decoder(Cell).decode
_marker = msgspec.msgpack.Decoder(Marker).decode
_pack = msgspec.msgpack.Encoder().encode


class Saved:
    """A checkpoint read back, and which slot holds each key's valid cell."""

    def __init__(self, marker: Marker, cells: dict[str, bytes], slots: dict[str, int]):
        self.marker = marker
        self.cells = cells
        self.slots = slots


class Checkpoint:
    """Writer of one partition's checkpoints. The caller sends what it returns, in order.

    Parameters
    ----------
    source, number
        Topic and partition whose state it is.
    key
        Authenticates every record.
    """

    def __init__(self, source: str, number: int, key: bytes, slots: dict[str, int] | None = None):
        self.prefix = f"{source}/{number}/"
        self.number = number
        self._key = key
        self._slots = dict(slots or {})
        self._graves: list[str] = []  # keys gone since a complete checkpoint

    def cells(
        self, offset: int, cells: dict[str, bytes | None]
    ) -> list[tuple[bytes, bytes | None]]:
        """Records of the changed keys. The marker may be sent once all of these are acknowledged."""
        records: list[tuple[bytes, bytes | None]] = []
        for key in self._graves:
            if key not in cells and key in self._slots:
                # The older slot first: a crash between the two must not raise the dead.
                newer = self._slots.pop(key)
                records += [(self._name(key, 1 - newer), None), (self._name(key, newer), None)]
        self._graves = [key for key, data in cells.items() if data is None]
        for key, data in cells.items():
            self._slots[key] = slot = 1 - self._slots.get(key, 1)
            name = self._name(key, slot)
            records.append((name, self._sealed(name, _pack(Cell(offset, data)))))
        return records

    def marker(self, marker: Marker) -> tuple[bytes, bytes]:
        """The record that makes the checkpoint complete."""
        name = f"{self.prefix}!".encode()
        return name, self._sealed(name, _pack(marker))

    def _name(self, key: str, slot: int) -> bytes:
        return f"{self.prefix}{slot}{key}".encode()

    def _sealed(self, name: bytes, payload: bytes) -> bytes:
        return _mac(self._key, name, payload) + payload


def _mac(key: bytes, name: bytes, payload: bytes) -> bytes:
    return hmac.digest(key, len(name).to_bytes(4, "big") + name + payload, "sha256")


def _opened(key: bytes, name: bytes, value: bytes) -> bytes | None:
    """Payload of a record that is ours; None for a forged or torn one."""
    payload = value[_MAC_BYTES:]
    return payload if hmac.compare_digest(_mac(key, name, payload), value[:_MAC_BYTES]) else None


class Reader:
    """Collects the records of one state partition and tells each source's newest checkpoint."""

    def __init__(self, key: bytes):
        self._key = key
        self._cells: dict[str, dict[tuple[str, int], list[Cell]]] = {}
        self._markers: dict[str, Marker] = {}
        self.forged = 0

    def take(self, name: bytes, value: bytes | None) -> None:
        """The next record, in the order of the log."""
        try:
            topic, number, rest = name.decode().split("/", 2)
        except ValueError:
            self.forged += 1
            return
        if value is None:
            # It clears away what the key's last cell calls gone; nothing else follows from it. An owner
            # that was taken for dead may write one for a key that has come back.
            return
        prefix = f"{topic}/{number}/"
        payload = _opened(self._key, name, value)
        if payload is None:
            self.forged += 1
        elif rest == "!":
            marker = _marker(payload)
            known = self._markers.get(prefix)
            if known is None or marker.offset >= known.offset:
                self._markers[prefix] = marker
        else:
            slot = (rest[1:], int(rest[0]))
            self._cells.setdefault(prefix, {}).setdefault(slot, []).append(_cell(payload))

    def saved(self, source: str, number: int) -> Saved | None:
        """The newest complete checkpoint of a source partition."""
        prefix = f"{source}/{number}/"
        marker = self._markers.get(prefix)
        if marker is None:
            return None
        best: dict[str, tuple[int, int, bytes | None]] = {}
        for (key, slot), cells in self._cells.get(prefix, {}).items():
            for cell in cells:
                true = cell.offset <= marker.offset
                if true and (key not in best or cell.offset >= best[key][0]):
                    best[key] = (cell.offset, slot, cell.data)
        live = {key: data for key, (_, _, data) in best.items() if data is not None}
        return Saved(marker, live, {key: slot for key, (_, slot, _) in best.items()})


async def read(bootstrap: str, numbers: Iterable[int], key: bytes) -> dict[int, Reader]:
    """All state of some partitions, read to the end as it stands now."""
    readers = {number: Reader(key) for number in numbers}
    partitions = [TopicPartition(STATE, number) for number in readers]
    if not partitions:
        return readers
    async with reader(bootstrap) as consumer:
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        await consumer.seek_to_beginning(*partitions)
        while any([await consumer.position(tp) < ends[tp] for tp in partitions]):
            for tp, records in (await consumer.getmany(timeout_ms=200)).items():
                for record in records:
                    readers[tp.partition].take(record.key, record.value)
    return readers


async def send(
    producer: AIOKafkaProducer, number: int, records: list[tuple[bytes, bytes | None]]
) -> list[Awaitable[Any]]:
    """Hand records to the producer in as few batches as fit; returns their acknowledgements."""
    waiting: list[Awaitable[Any]] = []
    batch = producer.create_batch()
    for name, value in records:
        assert value is None or len(value) <= CELL_BYTES_MAX + 256, "a cell is bounded by its state"
        if batch.append(key=name, value=value, timestamp=None) is None:
            waiting.append(await producer.send_batch(batch, STATE, partition=number))
            batch = producer.create_batch()
            appended = batch.append(key=name, value=value, timestamp=None)
            assert appended is not None, "an empty batch takes any cell"
    if batch.record_count():
        waiting.append(await producer.send_batch(batch, STATE, partition=number))
    return waiting
