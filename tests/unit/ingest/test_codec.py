"""Bytes to records: which lines are events, and why the others are none."""

import json

import pytest

from ingest import codec
from ingest.records import Owner, Step
from tests.pipe import Told
from tracefuse.errors import DecodeError
from tracefuse.events import KIND_OF
from tracefuse.events import encode as encode_event
from tracefuse.wire import LINES_MAX


def line(**more: object) -> bytes:
    """A valid event, with some fields said otherwise."""
    return json.dumps({**json.loads(encode_event(Told()("thought"))), **more}).encode()


def reason(raw: bytes) -> str:
    with pytest.raises(DecodeError) as caught:
        codec.event(raw)
    return caught.value.reason


@pytest.mark.parametrize("name", sorted(KIND_OF))
def test_every_name_of_the_list_is_read(name: str) -> None:
    """What the SDK writes is what the pipeline reads, field by field."""
    event = Told()(name, decision_args={"amount": 25.0}, attrs={"a": [1, None, True]}, seq=2**62)

    assert codec.event(encode_event(event)) == event


def test_lines_are_split_at_newlines_alone() -> None:
    """Other line ends are data; a newline at the end begins no line, an empty line is one."""
    assert codec.lines(b"a\nb\rc\x85\xe2\x80\xa8d\n") == [b"a", b"b\rc\x85\xe2\x80\xa8d"]
    assert codec.lines(b"a\n\nb") == [b"a", b"", b"b"]
    assert codec.lines(b"") == []
    assert codec.lines(None) == []  # type: ignore[arg-type]


def test_an_envelope_holds_fifty_lines() -> None:
    """Nobody writes more, or none."""
    fifty = [b"x"] * LINES_MAX

    assert codec.lines(codec.envelope(fifty)) == fifty
    for wrong in ([], [b"x"] * (LINES_MAX + 1)):
        with pytest.raises(AssertionError):
            codec.envelope(wrong)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"name": "tool.requested"}, "unknown_name"),
        ({"name": "heartbeat"}, "wrong_kind"),
        ({"kind": "mental"}, "malformed"),
        ({"schema_version": "2.0"}, "unknown_schema"),
        ({"schema_version": "10"}, "unknown_schema"),
        ({"schema_version": ""}, "unknown_schema"),
        ({"trace_id": "0" * 31}, "malformed"),
        ({"trace_id": "G" * 32}, "malformed_id"),
        ({"trace_id": "A" * 32}, "malformed_id"),
        ({"trace_id": " " + "0" * 31}, "malformed_id"),
        ({"trace_id": "0" * 31 + " "}, "malformed_id"),
        ({"trace_id": "0" * 31 + "\n"}, "malformed_id"),
        ({"trace_id": "0x" + "0" * 30}, "malformed_id"),
        ({"trace_id": "1_" + "0" * 30}, "malformed_id"),
        ({"trace_id": "-" + "0" * 31}, "malformed_id"),
        ({"trace_id": "\N{ARABIC-INDIC DIGIT ONE}" * 32}, "malformed_id"),
        ({"span_id": "0" * 15 + "/"}, "malformed_id"),
        ({"tenant": "a/b"}, "malformed_id"),
        ({"agent_id": "a/b"}, "malformed_id"),
        ({"agent_id": "a\x00"}, "malformed_id"),
        ({"agent_id": ""}, "malformed"),
        ({"agent_id": "a" * 257}, "malformed"),
        ({"seq": "7"}, "malformed"),
        ({"seq": 7.0}, "malformed"),
        ({"seq": True}, "malformed"),
        ({"cost_usd": "1"}, "malformed"),
        ({"attrs": []}, "malformed"),
        ({"content": "text"}, "malformed"),
        ({"tool": "t" * 4097}, "too_large"),
        ({"user_id": "u" * 2000, "session_id": "s" * 2100}, "too_large"),
        ({"decision_args": {"text": "x" * 5000}}, "too_large"),
        ({"decision_args": {"flat": [1e15] * 400}}, "too_large"),
        ({"attrs": {"text": "x" * (512 * 1024)}}, "too_large"),
    ],
)  # fmt: skip
def test_what_is_no_event_is_told_why(more: dict[str, object], why: str) -> None:
    """Each reason is one of a closed list, for counting."""
    assert reason(line(**more)) == why


def test_own_names_are_free() -> None:
    """Names with `x.` may be of any kind and any form."""
    for kind in ("operational", "cognitive", "contextual"):
        assert codec.event(line(name="x.ours", kind=kind)).kind == kind


def test_a_minor_version_may_bring_fields() -> None:
    """Unknown fields of our major version don't cost the event; the known ones are used."""
    event = codec.event(line(schema_version="1.9", mood="calm", tool="t"))

    assert (event.schema_version, event.tool) == ("1.9", "t")


@pytest.mark.parametrize("extra", [{}, {"kind": "mental"}, {"trace_id": 7}, {"seq": None}])
def test_a_major_version_is_told_from_damage(extra: dict[str, object]) -> None:
    """Whatever a later version changes: it is kept for a later reader, and is no fault."""
    assert reason(line(schema_version="2.0", **extra)) == "unknown_schema"
    assert reason(b'{"schema_version":"3.1"}') == "unknown_schema"


@pytest.mark.parametrize("version", [2, None, ["2"], {"major": 2}])
def test_a_version_that_is_no_text_is_damage(version: object) -> None:
    """Only a text can name a later version."""
    assert reason(line(schema_version=version)) == "malformed"


def test_unreadable_facts_are_named() -> None:
    """An inbox line that is none raises one error, whatever it looks like."""
    bad = [
        b"", b"{}", b"null", b'{"type":"step"}', b'{"type":"nonsense"}', b"\xff", b"[" * 5000,
        b'{"type":"run","tenant":"\xff"}', b'{"type":"ordered","payload":"!!"}',
        b'{"x":' + b"[" * 5000 + b"]" * 5000 + b',"type":"step"}',
    ]  # fmt: skip

    for raw in bad:
        with pytest.raises(DecodeError):
            codec.fact(raw)


def test_facts_come_back_as_they_were() -> None:
    """What join writes is what detect reads."""
    step = Step(
        step_id="s", phase="request", tenant="acme", agent_id="refunds", trace_id="t", span_id="x",
        action="tool",
    )  # fmt: skip

    assert codec.fact(codec.encode(step)) == step


def test_owner_records() -> None:
    """A worker's announcement is read; anything else in its place raises one error."""
    owner = Owner(worker="w", build="b", settings="")

    assert codec.owner(codec.encode(owner)) == owner
    for raw in (b"", b"{}", b"\xff", b'{"type":"owner","worker":"\xff"}', b"[" * 5000):
        with pytest.raises(DecodeError):
            codec.owner(raw)


def test_the_strict_reader_is_for_others_lines_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """An SDK's own line costs no second reading."""
    monkeypatch.setattr(codec, "_strict", lambda raw: pytest.fail("read twice"))
    event = Told()("tool.request", args_hash="ab12" * 8, decision_args={"amount": 25.0})

    assert codec.event(encode_event(event)) == event
