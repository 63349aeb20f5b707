"""F13: events of a later schema: a minor one is read as far as it is known, a major one kept whole."""

import json

import msgspec
import pytest

from ingest import codec
from ingest.topics import EVENTS
from stream.sink import rows
from tests.pipe import MASTER, TENANT, TRACE, Pipe, Told, envelope
from tracefuse import wire
from tracefuse.errors import DecodeError
from tracefuse.events import encode as encode_event

NUMBER = wire.partition_of(wire.trace_key(TENANT, TRACE))


def line(version: str, **more: object) -> bytes:
    """A call's result as a later SDK might write it."""
    event = json.loads(encode_event(Told().call(1, cost_usd=0.5)[1]))
    return json.dumps({**event, "schema_version": version, **more}).encode()


LATER = [
    line("2.0"), line("2.0", mood={"calm": 0.9}), line("17.3", kind="emotional"),
    line("2.0", trace_id="a trace id of another form"), b'{"schema_version":"2.0"}',
]  # fmt: skip


@pytest.mark.parametrize("version", ["1.0", "1.1", "1.9", "1.999", "1"])
def test_a_minor_version_is_read(version: str) -> None:
    """Known fields are used, and what is new costs nothing."""
    pipe = Pipe()
    pipe.send(line(version, mood="calm", tool="crm.find"), Told()("thought"))
    (step,) = pipe.steps().values()

    assert (step.tool, step.cost_usd) == ("crm.find", 0.5)
    assert pipe.dead() == []


@pytest.mark.parametrize("later", LATER)
def test_a_major_version_decides_nothing(later: bytes) -> None:
    """Nobody here knows what it means; that is neither a fault nor a step."""
    pipe, told = Pipe(), Told()
    pipe.send(later, *told.call(2))

    assert pipe.dead() == []
    assert len(pipe.steps()) == 1


@pytest.mark.parametrize("later", LATER)
def test_a_major_version_is_kept_whole(later: bytes) -> None:
    """Byte for byte, with its version, for the day on which a reader knows it."""
    headers, value = envelope([later])
    (row,) = rows.read(EVENTS, NUMBER, headers, value, MASTER)

    assert isinstance(row, rows.Row)
    assert (row.table, row.raw) == ("events_raw", later)
    assert isinstance(row.item, rows.Future)
    assert row.item.schema_version == json.loads(later)["schema_version"]


def test_after_the_upgrade_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stored bytes are all that a later reader needs."""
    stored = line("2.0", mood="calm")
    with pytest.raises(DecodeError, match="unknown_schema"):
        codec.event(stored)
    monkeypatch.setattr(codec, "_check", lambda decoded: None)  # a reader that knows version 2

    assert codec.event(stored).schema_version == "2.0"


def test_damage_is_not_taken_for_the_future() -> None:
    """Control: broken bytes are dead letters, also where they name a version."""
    pipe = Pipe()
    pipe.send(line("2.0")[:-5], line("1.4", seq="x"), Told()("thought"))

    assert [dead.reason for dead in pipe.dead()] == ["malformed", "malformed"]


def test_our_own_version_is_not_written() -> None:
    """A line without one is of the current version: fifteen bytes less in each event."""
    assert b"schema_version" not in encode_event(Told()("thought"))
    assert codec.event(encode_event(Told()("thought"))).schema_version == "1.0"
    assert msgspec.json.decode(line("1.0"))["schema_version"] == "1.0"
