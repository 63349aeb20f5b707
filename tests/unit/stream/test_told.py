"""Verdicts as rows: with their proof, each once, and none that their agent would not believe."""

from typing import Any

import pytest

from ingest import codec
from ingest.records import Src
from ingest.topics import INBOX, VERDICTS
from stream.sink.columns import Block
from stream.sink.intake import Intake, Stored
from stream.sink.rows import Row, Skip, read
from tests.pipe import AGENT, MASTER, TENANT, TRACE
from tracefuse import verdicts, wire
from tracefuse.credentials import envelope_key
from tracefuse.verdicts import Verdict

KID = f"{TENANT}/{AGENT}/1"
KEY = envelope_key(MASTER, TENANT, AGENT, 1)
HEADERS = [(wire.KIND, codec.VERDICTS)]
SRC: Src = (INBOX, 3, 100, 2, 1)


def verdict(number: int = 1, **more: Any) -> Verdict:
    whole: dict[str, Any] = {
        "call_id": f"call-{number}", "attempt": 1, "tenant": TENANT, "agent_id": AGENT,
        "trace_id": TRACE, "boot_id": "b1", "word": "deny", "gate": "budgets",
        "reason": "the budget run_usd has no room for this call", "src": SRC,
    }  # fmt: skip
    return Verdict(**(whole | more))


def line(said: Verdict, kid: str = KID, key: bytes = KEY) -> bytes:
    return verdicts.seal(said.boot_id, verdicts.encode(said), kid, key)


def rows(*lines: bytes) -> list[Any]:
    return list(read(VERDICTS, 0, HEADERS, codec.envelope(list(lines)), MASTER))


def test_a_verdict_keeps_its_proof() -> None:
    """The line byte for byte, and what proves it: enough to check it from ClickHouse alone."""
    sent = line(verdict())
    (found,) = rows(sent)
    block = Block(found.table, VERDICTS, 0)
    block.add(found, 7, 1)
    got = block.columns()

    assert (got["word"], got["gate"], got["attempt"]) == (["deny"], ["budgets"], [1])
    assert (got["kid"], got["raw"]) == ([KID], [sent])
    assert got["mac"] == [verdicts.mac(KEY, KID, verdicts.encode(verdict()))]
    assert tuple(got[f"_src_{part}"][0] for part in ("topic", "partition", "offset")) == SRC[:3]


@pytest.mark.parametrize(
    ("kid", "key"),
    [(KID, b"x" * 32), (f"{TENANT}/other/1", envelope_key(MASTER, TENANT, "other", 1)),
     ("", b""), ("acme/refunds/²", KEY)],
    ids=["another key", "another agent's key", "no name", "no number"],
)  # fmt: skip
def test_a_forged_verdict_makes_no_row(kid: str, key: bytes) -> None:
    """Whoever may write into the topic can't write history; its neighbour is stored all the same."""
    found = rows(line(verdict(), kid, key), line(verdict(2)))

    assert found[0] == Skip("bad_mac")
    assert isinstance(found[1], Row)


@pytest.mark.parametrize("damaged", [b"{", b'{"boot_id":"b","verdict":{}}', b"[" * 5000, b"\xff"])
def test_a_damaged_line_is_counted(damaged: bytes) -> None:
    """No line stops the sink."""
    (found,) = rows(damaged)

    assert isinstance(found, Skip)


def test_a_verdict_that_was_said_again_is_stored_once() -> None:
    """Asked again, or computed again by the next worker: same source, same verdict, one row."""
    into = Intake(VERDICTS, 0, MASTER, Stored(), 0)
    for offset, said in enumerate((verdict(1), verdict(2, src=(INBOX, 3, 101, 0, 0)), verdict(1))):
        into.add(offset, 1, HEADERS, codec.envelope([line(said)]), 0.0)
    chunk = into.take(60.0)

    assert chunk is not None
    assert chunk.blocks["verdicts"].columns()["call_id"] == ["call-1", "call-2"]
    assert into.repeats == 1
