"""A recording becomes valid events, one for one, in envelopes that prove whose they are."""

import asyncio
import gzip
import hashlib
import logging
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ingest import codec
from ingest.keys import Keys
from ingest.settings import Settings
from ingest.simulate.recorded import Converter, envelopes, replay, traces
from tracefuse import events
from tracefuse.events import Event
from tracefuse.signing import envelope_mac

KEYS = Keys(b"m" * 32, b"a" * 32, b"h" * 32, b"r" * 32)
NOW = 1_700_000_000_000_000


def line(span: str, type_: str, kind: str, **more: Any) -> dict[str, Any]:
    return {
        "timestamp": 12.5, "trace_id": "run-1", "span_id": span, "parent_span_id": None,
        "agent_id": "clerk", "kind": kind, "type": type_, **more,
    }  # fmt: skip


LINES = [
    line("s", "system_prompt", "contextual", text="Be kind.", tokens=7),
    line("u", "user_message", "contextual", text="Pay it.", user="ann", tokens=3),
    line("t", "llm_output", "cognitive", text="I pay.", tokens=5, model="m-1"),
    line("c", "tool_call", "operational", parent_span_id="t", tool="pay", args={"sum": 25.0}),
    line("r", "tool_result", "operational", parent_span_id="c", tool="pay", result="paid"),
    line("d", "tool_call", "operational", parent_span_id="t", tool="pay", args={"sum": 25}),
    line("q", "tool_result", "operational", parent_span_id="d", tool="pay", result="",
         error="ValueError: no money"),
    line("x", "guardrail", "contextual"),
]  # fmt: skip


def recording(folder: Path, lines: list[dict[str, Any]], name: str = "rec.jsonl") -> Path:
    data = b"".join(msgspec.json.encode(each) + b"\n" for each in lines)
    path = folder / name
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def converted(path: Path, tenant: str = "rec") -> list[Event]:
    converter = Converter(tenant, b"k" * 32)
    return [event for trace in traces(path) for event in converter.convert(trace, NOW)]


def test_each_line_becomes_one_valid_event(tmp_path: Path) -> None:
    """The pipeline's own reader accepts each; a run is framed by start and end; none is lost."""
    made = converted(recording(tmp_path, LINES, "rec.jsonl.gz"))

    assert [codec.event(events.encode(event)) for event in made] == made
    assert [event.name for event in made] == [
        "run.start", "input.system", "input.user", "thought", "tool.request", "tool.result",
        "tool.request", "tool.result", "x.guardrail", "run.end",
    ]  # fmt: skip
    assert [event.seq for event in made] == list(range(1, 11))
    assert len({event.event_id for event in made}) == 10


def test_a_result_belongs_to_its_call(tmp_path: Path) -> None:
    """Request and result share call id, span and arguments; 25.0 equals 25; errors keep their type."""
    made = converted(recording(tmp_path, LINES))
    first, result, second, failed = made[4:8]

    assert first.call_id == result.call_id != second.call_id == failed.call_id
    assert first.span_id == result.span_id and first.parent_span_id == made[3].span_id
    assert first.args_hash == result.args_hash == second.args_hash != ""
    assert (result.status, failed.status, failed.error_type) == ("ok", "error", "ValueError")


def test_texts_stay_at_home_and_ids_stay_readable(tmp_path: Path) -> None:
    """No prompt, thought, argument or result travels; the recording's ids do."""
    made = converted(recording(tmp_path, LINES))
    sent = b"\n".join(events.encode(event) for event in made)

    for text in (b"Be kind", b"Pay it", b"I pay", b"paid", b"no money"):
        assert text not in sent
    assert made[4].attrs == {
        "recorded_trace_id": "run-1", "recorded_span_id": "c", "recorded_at": 12.5,
    }  # fmt: skip


def test_replaying_twice_gives_the_same_ids(tmp_path: Path) -> None:
    """A second replay into the same tenant is a duplicate; into another it is not."""
    path = recording(tmp_path, LINES)
    ids = [event.event_id for event in converted(path)]

    assert ids == [event.event_id for event in converted(path)]
    assert not set(ids) & {event.event_id for event in converted(path, "other")}


def test_a_record_is_one_agent_s_and_proves_it(tmp_path: Path) -> None:
    """Agents of one trace never share a record; each record carries its own agent's proof."""
    lines = [*LINES, line("a", "llm_output", "cognitive", agent_id="boss"), *LINES[:1]]
    made = converted(recording(tmp_path, lines))
    records = list(envelopes(made, lambda agent: KEYS.credential("rec", agent)))
    read = [[codec.event(line) for line in codec.lines(record.value)] for record in records]

    assert [event for batch in read for event in batch] == made
    for record, batch in zip(records, read, strict=True):
        agent = batch[0].agent_id
        key = KEYS.credential("rec", agent).envelope_key
        assert {event.agent_id for event in batch} == {agent}
        assert record.mac == envelope_mac(key, f"rec/{agent}/1", False, record.value)


def test_a_long_trace_is_cut_into_records(tmp_path: Path) -> None:
    """No record holds more lines than the wire allows."""
    lines = [line(f"s{n}", "llm_output", "cognitive") for n in range(120)]
    made = converted(recording(tmp_path, lines))
    sizes = [one.lines for one in envelopes(made, lambda agent: KEYS.credential("rec", agent))]

    assert sizes == [50, 50, 22]


def test_an_absent_recording_is_skipped_loudly(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Without the file nothing is sent, no broker is needed, and a warning names the path."""
    path = tmp_path / "absent.jsonl.gz"
    with caplog.at_level(logging.WARNING):
        sent = asyncio.run(replay(path, Settings(bootstrap="127.0.0.1:1"), KEYS, "rec"))

    assert sent == 0 and "NOT REPLAYED" in caplog.text and str(path) in caplog.text


def test_ids_are_the_documented_hash(tmp_path: Path) -> None:
    """Anybody can find a recorded trace again: its id is SHA-256 of tenant and original id."""
    made = converted(recording(tmp_path, LINES))

    assert made[0].trace_id == hashlib.sha256(b"rec\0run-1").hexdigest()[:32]
