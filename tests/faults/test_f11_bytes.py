"""F11: bytes that are no text never become text: they are set aside as they were."""

import hashlib
import json

import msgspec
import pytest

from ingest import codec
from ingest.records import DeadLetter
from tests.pipe import Pipe, Told, found
from tracefuse.errors import DecodeError
from tracefuse.events import encode as encode_event

MARK = b"@@@"
VALID = encode_event(Told()("tool.request", tool=MARK.decode(), attrs={"note": "x"}))

NO_TEXT = {
    "no UTF-8 at all": b"\xff\xfe\xfd",
    "a lone surrogate in UTF-8": b"\xed\xa0\x80",
    "both halves of a pair in UTF-8": b"\xed\xa0\xbd\xed\xb2\xa9",
    "a lone surrogate, escaped": b"\\ud800",
    "a low half first": b"\\udc00\\ud800",
    "an overlong slash": b"\xc0\xaf",
    "a byte too few": b"\xe2\x82",
    "beyond Unicode": b"\xf4\x90\x80\x80",
    "Latin-1": "é".encode("latin-1"),
    "UTF-16": "é".encode("utf-16"),
    "a raw NUL": b"\x00",
    "a raw control character": b"\x1b[2J",
}
TEXT = {
    "a pair, escaped": (b"\\ud83d\\udca9", "\U0001f4a9"),
    "an escaped NUL": (b"\\u0000", "\x00"),
    "an escaped control character": (b"\\u001b[2J", "\x1b[2J"),
    "no character": (b"\xef\xbf\xbf", "\uffff"),
    "a byte order mark inside": (b"\xef\xbb\xbf", "\ufeff"),
    "a line separator": (b"\xe2\x80\xa8", "\u2028"),
}

cases = pytest.mark.parametrize("name", NO_TEXT)


@cases
@pytest.mark.parametrize("where", ["a field", "a key", "a field nobody knows"])
def test_it_is_no_event(name: str, where: str) -> None:
    """Wherever in a line it stands."""
    line = {
        "a field": VALID.replace(MARK, NO_TEXT[name]),
        "a key": VALID.replace(b'"note"', b'"' + NO_TEXT[name] + b'"'),
        "a field nobody knows": VALID[:-1] + b',"new":"' + NO_TEXT[name] + b'"}',
    }[where]

    with pytest.raises(DecodeError, match="malformed"):
        codec.event(line)


@cases
def test_it_is_kept_as_it_was(name: str) -> None:
    """In base64 within a line that is text, with the hash of the original; its neighbours count."""
    line = VALID.replace(MARK, NO_TEXT[name])
    pipe, told = Pipe(), Told()
    pipe.send(line, *told.call(1))
    letters: list[DeadLetter] = found(pipe.facts, "agent.dlq.v1", DeadLetter)
    raw = next(out.value for out in pipe.facts if out.topic == "agent.dlq.v1")

    assert [letter.raw for letter in letters] == [line]
    assert letters[0].sha256 == hashlib.sha256(line).hexdigest()
    assert json.loads(raw.decode("ascii"))["reason"] == "malformed"
    assert len(pipe.steps()) == 1


@pytest.mark.parametrize("name", TEXT)
def test_odd_text_is_text(name: str) -> None:
    """What Unicode allows is kept, written again, and the same."""
    written, text = TEXT[name]
    event = codec.event(VALID.replace(MARK, written))

    assert event.tool == text
    assert codec.event(encode_event(event)).tool == text


def test_nul_is_no_part_of_a_name() -> None:
    """Names are parts of keys and labels, where many systems end a text at NUL."""
    line = VALID.replace(b'"agent_id":"refunds"', b'"agent_id":"refunds\\u0000"')

    with pytest.raises(DecodeError, match="malformed_id"):
        codec.event(line)


@cases
def test_an_inbox_is_not_spoilt_by_it(name: str) -> None:
    """Should such bytes ever stand in an inbox: a dead letter, and the neighbours count."""
    pipe = Pipe()
    line = b'{"type":"alive","tenant":"' + NO_TEXT[name] + b'"}'
    out = pipe.inbox(0, line)
    letters: list[DeadLetter] = found(out, "agent.dlq.v1", DeadLetter)

    assert [letter.raw for letter in letters] == [line]


def test_others_would_let_it_through() -> None:
    """Control: Python's own reader and a lenient decoding make text of several of these."""
    surrogate = json.loads(VALID.replace(MARK, b"\\ud800"))["tool"]
    replaced = msgspec.json.decode(
        VALID.replace(MARK, b"\xff").decode("utf-8", "replace").encode()
    )["tool"]

    assert (surrogate, replaced) == ("\ud800", "\ufffd")
